// Prints and ends the program: what tools/check_symbols.py must find in a library.
#include <cstdio>
#include <cstdlib>
#include <iostream>

void Print(const char* text) {
  std::printf("%s %d\n", text, 1);
  std::cerr << text;
  std::exit(1);
}
