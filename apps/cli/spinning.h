// How long a thread without work spins before it sleeps.
#ifndef KONTEXT_APPS_CLI_SPINNING_H_
#define KONTEXT_APPS_CLI_SPINNING_H_

namespace kontext::cli {

// libgomp spins 300,000 rounds by default, which on a busy machine takes the processor from the
// very thread that is waited for: an edit of the mini model takes ten times as long (SPEED.md). It
// reads its setting before main(), so the program starts itself once more with a shorter one,
// unless the user has chosen. Where that is not possible it goes on as it is.
void SpinLess(char** argv);

}  // namespace kontext::cli

#endif  // KONTEXT_APPS_CLI_SPINNING_H_
