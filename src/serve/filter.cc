#include "serve/filter.h"

#include <Poco/Exception.h>
#include <Poco/URI.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "base/cut_text.h"
#include "base/status.h"
#include "serve/base64.h"

extern char** environ;

namespace kontext::serve {
namespace {

constexpr int kFilterSeconds = 60;
constexpr int kPollMilliseconds = 50;
constexpr size_t kMostSaid = 200;
constexpr size_t kMostAnswer = size_t{1} << 16;  // of a service

class Pipe {
 public:
  Pipe() { open_ = pipe2(ends_.data(), O_CLOEXEC) == 0; }
  ~Pipe() {
    Close(0);
    Close(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  bool open() const { return open_; }
  int end(size_t which) const { return ends_[which]; }
  void Close(size_t which) {
    if (ends_[which] >= 0) close(ends_[which]);
    ends_[which] = -1;
  }

 private:
  std::array<int, 2> ends_ = {-1, -1};
  bool open_ = false;
};

// Leads a process group of its own, so that what it starts ends with it. SIGPIPE is the default for
// it: the server ignores that signal, and programs do not expect to inherit this.
Result<pid_t> Start(const std::string& program, const Pipe& in, const Pipe& out) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, in.end(0), 0);
  posix_spawn_file_actions_adddup2(&files, out.end(1), 1);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);  // no client's socket
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  std::string name = program;
  std::array<char*, 2> arguments = {name.data(), nullptr};
  pid_t pid = -1;
  const int error =
      posix_spawnp(&pid, name.c_str(), &files, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0)
    return Internal("the filter {} cannot be started: {}", program, std::strerror(error));
  return pid;
}

void WriteSome(Pipe& in, const std::string& input, size_t& written) {
  const ssize_t n = write(in.end(1), input.data() + written, input.size() - written);
  if (n > 0) written += static_cast<size_t>(n);
  const bool later = n < 0 && (errno == EAGAIN || errno == EINTR);
  // A filter need not read its input: EPIPE is no error.
  if ((n < 0 && !later) || written == input.size()) in.Close(1);
}

void ReadSome(Pipe& out, std::string& said) {
  std::array<char, 4096> bytes;
  const ssize_t n = read(out.end(0), bytes.data(), bytes.size());
  if (n > 0)
    said.append(bytes.data(), std::min(static_cast<size_t>(n), kMostSaid - said.size()));
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    out.Close(0);
}

// Talks to the program until it has ended; its wait status, or why there is none.
Result<int> Converse(pid_t pid, const std::string& program, const std::string& input, Pipe& in,
                     Pipe& out, const std::function<bool()>& stopped, std::string& said) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kFilterSeconds);
  size_t written = 0;
  while (true) {
    std::array<pollfd, 2> polled = {pollfd{in.end(1), POLLOUT, 0}, pollfd{out.end(0), POLLIN, 0}};
    poll(polled.data(), polled.size(), kPollMilliseconds);  // a closed end, -1, is passed over
    if (polled[0].revents != 0) WriteSome(in, input, written);
    if (polled[1].revents != 0) ReadSome(out, said);
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) == pid) {
      while (out.end(0) >= 0 && poll(&(polled[1] = {out.end(0), POLLIN, 0}), 1, 0) > 0)
        ReadSome(out, said);
      return status;
    }
    const bool late = std::chrono::steady_clock::now() > end;
    if (!late && !stopped()) continue;
    kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (late) return Internal("the filter {} gave no answer in {} s", program, kFilterSeconds);
    return Status(Code::kCancelled, "stopped while the filter ran");
  }
}

Status Moderated(const std::string& said, StoredEdit& edit) {
  edit.error_code = "moderated";
  edit.error_message = said.empty() ? "refused by the filter" : said;
  return Usage("{}", edit.error_message);
}

Status RunProgram(const std::string& program, const std::string& input,
                  const std::function<bool()>& stopped, StoredEdit& edit) {
  Pipe in, out;
  if (!in.open() || !out.open())
    return Internal("the filter {}: no pipe: {}", program, std::strerror(errno));
  fcntl(in.end(1), F_SETFL, O_NONBLOCK);
  fcntl(out.end(0), F_SETFL, O_NONBLOCK);
  KX_ASSIGN_OR_RETURN(const pid_t pid, Start(program, in, out));
  in.Close(0);
  out.Close(1);
  std::string said;
  KX_ASSIGN_OR_RETURN(const int status, Converse(pid, program, input, in, out, stopped, said));
  if (!WIFEXITED(status)) return Internal("the filter {} was ended by a signal", program);
  const int code = WEXITSTATUS(status);
  if (code == 0) return Status();
  if (code != 1) return Internal("the filter {} ended with code {}", program, code);
  return Moderated(said, edit);
}

// 200 and 204 pass, 403 refuses with what its body says.
Status AskService(const std::string& url, const std::string& input,
                  const std::function<bool()>& stopped, StoredEdit& edit) {
  KX_ASSIGN_OR_RETURN(const Target target, FilterTarget(url));
  const auto answer = AskJson(target, input, kMostAnswer, kFilterSeconds, stopped);
  if (answer.status().code() == Code::kCancelled) return answer.status();
  if (!answer.ok()) return Internal("the filter {}: {}", target.authority, answer.message());
  if (answer->code == 200 || answer->code == 204) return Status();
  if (answer->code == 403) return Moderated(CutText(answer->body, kMostSaid), edit);
  return Internal("the filter {} answered {}", target.authority, answer->code);
}

}  // namespace

std::string FilterInput(const StoredEdit& edit, const char* stage, const std::string& png,
                        const std::vector<std::string>& inputs) {
  Json input = {{"stage", stage},
                {"id", edit.id},
                {"prompt", edit.request.value("prompt", "")},
                {"picture", ToBase64(png)},
                {"inputs", Json::array()}};
  for (const std::string& bytes : inputs) input["inputs"].push_back(ToBase64(bytes));
  return input.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool IsFilterUrl(const std::string& filter) {
  return filter.starts_with("http://") || filter.starts_with("https://");
}

Result<Target> FilterTarget(const std::string& url) {
  std::string host;
  try {
    host = Poco::URI(url).getHost();
  } catch (const Poco::Exception&) {
    return BadInput("{}: this filter's URL cannot be read", url);
  }
  return ParseTarget(url, {host}, "--filter-before or --filter-after");
}

Status RunFilter(const std::string& filter, const std::string& input,
                 const std::function<bool()>& stopped, StoredEdit& edit) {
  if (filter.empty()) return Status();
  return IsFilterUrl(filter) ? AskService(filter, input, stopped, edit)
                             : RunProgram(filter, input, stopped, edit);
}

}  // namespace kontext::serve
