# Warnings are errors on our own code. Dependencies are included as SYSTEM and keep theirs.
add_library(kx_warnings INTERFACE)
target_compile_options(kx_warnings INTERFACE -Wall -Wextra -Wconversion -Werror)
if(KONTEXT_SANITIZE)
  # Every report ends the test that made it.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1)
  add_link_options(-fsanitize=address,undefined)
endif()
