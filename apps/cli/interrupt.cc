#include "cli/interrupt.h"

#include <atomic>
#include <csignal>

namespace kontext::cli {
namespace {

std::atomic<bool> asked = false;

extern "C" void OnInterrupt(int) {
  asked = true;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

InterruptWatch::InterruptWatch() {
  asked = false;
  std::signal(SIGINT, OnInterrupt);
  std::signal(SIGTERM, OnInterrupt);
}

InterruptWatch::~InterruptWatch() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool InterruptWatch::interrupted() const { return asked; }

}  // namespace kontext::cli
