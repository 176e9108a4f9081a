# kx_bytes(FILE OUT): FILE's bytes as the inside of a C array.
function(kx_bytes file out)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(................................................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  set(${out} "${hex}" PARENT_SCOPE)
endfunction()

# kx_embed(FILE NAME OUT): a source file OUT with FILE's text as `extern const std::string kontext::serve::NAME`.
function(kx_embed file name out)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  kx_bytes(${file} hex)
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT [[#include <string>
namespace kontext::serve {
static const unsigned char bytes[] = {@hex@};
extern const std::string @name@;
const std::string @name@(reinterpret_cast<const char*>(bytes), sizeof bytes);
}
]])
endfunction()
