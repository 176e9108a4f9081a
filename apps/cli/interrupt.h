// Ctrl-C and SIGTERM: the first one asks the work to stop, a second one ends the program as usual.
#ifndef KONTEXT_APPS_CLI_INTERRUPT_H_
#define KONTEXT_APPS_CLI_INTERRUPT_H_

namespace kontext::cli {

// Listens for as long as it lives.
class InterruptWatch {
 public:
  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  bool interrupted() const;  // since the last InterruptWatch began
};

}  // namespace kontext::cli

#endif  // KONTEXT_APPS_CLI_INTERRUPT_H_
