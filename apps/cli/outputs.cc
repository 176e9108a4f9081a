#include "cli/outputs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>

namespace kontext::cli {
namespace {

namespace fs = std::filesystem;

fs::path WithSuffix(const fs::path& path, const std::string& suffix) {
  return path.parent_path() / (path.stem().string() + suffix + path.extension().string());
}

// A place typed by the user; nothing once they give up (empty line, end of input).
std::optional<std::string> AskForPlace(const std::string& why) {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0) return std::nullopt;
  std::fprintf(stderr,
               "\nkontext: %s\nThe picture is safe in memory. Another place (empty: give up): ",
               why.c_str());
  std::string line;
  if (!std::getline(std::cin, line) || line.empty()) return std::nullopt;
  return line;
}

}  // namespace

std::string OutputPath(const std::string& named, const std::string& first_input, uint64_t seed,
                       int count) {
  const std::string number = fmt::format("-{}", seed);
  if (!named.empty()) return count == 1 ? named : WithSuffix(named, number).string();
  const fs::path input(first_input.empty() ? "kontext.png" : first_input);
  fs::path path = input.parent_path() / (input.stem().string() + number + ".png");
  std::error_code ec;
  for (int i = 2; fs::exists(path, ec); ++i) {
    path = input.parent_path() / (input.stem().string() + number + fmt::format("-{}.png", i));
  }
  return path.string();
}

Status CheckWritable(const std::string& path) {
  std::string extension = fs::path(path).extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (extension != ".png" && extension != ".jpg" && extension != ".jpeg" && extension != ".webp") {
    return Status(Code::kUsage,
                  fmt::format("-o {}: the name must end in .png, .jpg, .jpeg or .webp", path));
  }
  std::error_code ec;
  const fs::path folder =
      fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  if (!fs::is_directory(folder, ec)) {
    return Status(Code::kUsage, fmt::format("-o {}: there is no folder {}", path, folder.string()));
  }
  if (fs::is_directory(path, ec))
    return Status(Code::kUsage, fmt::format("-o {}: is a folder", path));
  if (access(folder.c_str(), W_OK) != 0) {
    return Status(Code::kUsage,
                  fmt::format("-o {}: the folder {} is not writable", path, folder.string()));
  }
  return Status();
}

Result<std::string> SaveSomewhere(const std::string& path, const Edited& edited) {
  Status status = SavePicture(path, edited);
  if (status.ok()) return path;
  std::string why = status.message();
  while (const std::optional<std::string> place = AskForPlace(why)) {
    const Status again = SavePicture(*place, edited);
    if (again.ok()) return *place;
    why = again.message();
  }
  std::error_code ec;
  const std::string name = fs::path(path).filename().string();
  for (const fs::path& folder : {fs::current_path(ec), fs::temp_directory_path(ec)}) {
    const std::string place = OutputPath("", (folder / name).string(), edited.seed, 1);
    if (SavePicture(place, edited).ok()) {
      std::fprintf(stderr, "kontext: %s\nkontext: the picture was saved as %s instead\n",
                   why.c_str(), place.c_str());
      return place;
    }
  }
  return status;
}

}  // namespace kontext::cli
