# Run by cmake -P: builds the studio with NPM into FOLDER and writes the C++ source OUT with its files. STAMP is written
# only when the studio is in it.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/embed.cmake)
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})
set(reason "")

# What npm installed last is noted beside it, so that a build without changes needs no registry.
function(install_packages)
  set(note ${STUDIO}/node_modules/.lock.sha256)
  file(SHA256 ${STUDIO}/package-lock.json lock)
  if(EXISTS ${note})
    file(READ ${note} installed)
  endif()
  if("${installed}" STREQUAL "${lock}")
    return()
  endif()
  execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --loglevel=error WORKING_DIRECTORY ${STUDIO}
                  RESULT_VARIABLE code)
  if(code EQUAL 0)
    file(WRITE ${note} ${lock})
  else()
    set(reason "npm ci failed in studio/: is a registry of packages in reach?" PARENT_SCOPE)
  endif()
endfunction()

if(NPM)
  install_packages()
  if(NOT reason)
    execute_process(COMMAND ${CMAKE_COMMAND} -E env STUDIO_OUT=${FOLDER} ${NPM} run --silent build WORKING_DIRECTORY ${STUDIO}
                    RESULT_VARIABLE code OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "The studio does not build:\n${said}")
    endif()
  endif()
else()
  set(reason "npm was missing when this program was built: install nodejs and npm")
endif()

if(reason)
  message(WARNING "kontext serve is built without its studio: ${reason}")
  file(WRITE ${FOLDER}/index.html "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>kontext serve</title>"
    "<h1>kontext serve, without its studio</h1><p>${reason}. Then build again.</p>"
    "<p>The API works: <a href=\"/v1/openapi.json\">/v1/openapi.json</a>.</p></html>\n")
endif()

set(types html "text/html" js "text/javascript" css "text/css" svg "image/svg+xml" png "image/png" woff2 "font/woff2")
file(GLOB_RECURSE files RELATIVE ${FOLDER} ${FOLDER}/*)
set(arrays "")
set(rows "")
set(number 0)
foreach(file ${files})
  get_filename_component(extension ${file} LAST_EXT)
  string(SUBSTRING "${extension}" 1 -1 extension)
  list(FIND types "${extension}" at)
  if(at LESS 0)
    message(FATAL_ERROR "studio: ${file} has an ending that cmake/embed_studio.cmake knows no type for")
  endif()
  math(EXPR at "${at} + 1")
  list(GET types ${at} type)
  if(type MATCHES "^text/")
    string(APPEND type "\; charset=utf-8")
  endif()
  kx_bytes(${FOLDER}/${file} hex)
  string(APPEND arrays "const unsigned char kFile${number}[] = {\n${hex}};\n")
  string(APPEND rows "      {\"${file}\", \"${type}\", Text(kFile${number})},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "// The studio's files; made by cmake/embed_studio.cmake.
#include \"serve/assets.h\"

namespace kontext::serve {
namespace {
${arrays}
template <size_t N>
std::string Text(const unsigned char (&bytes)[N]) {
  return std::string(reinterpret_cast<const char*>(bytes), N);
}
}  // namespace

const std::vector<Asset>& Assets() {
  static const std::vector<Asset> assets = {
${rows}  };
  return assets;
}

}  // namespace kontext::serve
")
if(NOT reason)
  file(TOUCH ${STAMP})
endif()
