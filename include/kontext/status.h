// Status and Result<T>: how every part of kontext.cpp says that something went wrong.
//
// No function of the library throws, prints or exits. A message says what, where, expected, got and
// what to do: `ae.safetensors: tensor "decoder.conv_in.weight" is [512,32,3,3], expected
// [512,16,3,3]`.
#ifndef KONTEXT_STATUS_H_
#define KONTEXT_STATUS_H_

#include <optional>
#include <string>
#include <utility>

namespace kontext {

enum class Code {
  kOk,         // it worked
  kInternal,   // a mistake of ours, or of a library below us           (exit code 1)
  kUsage,      // a request that can never work: flag, field or bound    (exit code 2)
  kBadInput,   // a file, picture or model that is not what it should be (exit code 3)
  kNoSpace,    // not enough memory or disk                              (exit code 4)
  kCancelled,  // the caller asked to stop                               (exit code 130)
};

class [[nodiscard]] Status {
 public:
  Status() = default;  // kOk
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }  // empty when ok

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value, or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit, as `return value;`
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit, as `return status;`
    if (status_.ok()) status_ = Status(Code::kInternal, "a Result was made from an ok Status");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  Code code() const { return status_.code(); }
  const std::string& message() const { return status_.message(); }

  // The value; only when ok().
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace kontext

#endif  // KONTEXT_STATUS_H_
