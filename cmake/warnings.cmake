# Warnings are errors on our own code. Dependencies are included as SYSTEM and keep theirs.
add_library(kx_warnings INTERFACE)
target_compile_options(kx_warnings INTERFACE -Wall -Wextra -Wconversion -Werror)
if(KONTEXT_SANITIZE)
  # Every report ends the test that made it. -Og and line numbers alone, since this build takes longest in CI; the loops
  # over pixels and weights (src/compute) are the exception, or edits would take half a minute each.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1 -Og)
  add_link_options(-fsanitize=address,undefined)
endif()
