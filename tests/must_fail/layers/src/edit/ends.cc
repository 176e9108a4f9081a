// Prints and ends the program. The words in this comment, abort() and throw, and in the text are
// fine.
const char* kText = "exit(1)";
void End() {
  std::cerr << kText;
  std::exit(1);
}
