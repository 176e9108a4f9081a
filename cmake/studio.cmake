# kx_studio(OUT): the studio (studio/) is built by npm and embedded as the source file OUT, which defines
# kontext::serve::Assets(). Nothing generated is committed. Without npm, or when npm fails (no registry in reach), the
# program is built all the same, with a page that says what to install; the next build tries again.
find_program(NPM npm)
if(NOT NPM)
  message(WARNING "npm is missing: kontext serve will have no studio. Install the packages nodejs and npm (tools/setup.sh does)")
endif()

function(kx_studio out)
  set(studio ${PROJECT_SOURCE_DIR}/studio)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${studio}/src/* ${studio}/public/*)
  set(stamp ${CMAKE_CURRENT_BINARY_DIR}/studio.stamp)
  add_custom_command(OUTPUT ${stamp} BYPRODUCTS ${out}
    COMMAND ${CMAKE_COMMAND} -DNPM=${NPM} -DSTUDIO=${studio} -DFOLDER=${CMAKE_CURRENT_BINARY_DIR}/studio
            -DOUT=${out} -DSTAMP=${stamp} -P ${PROJECT_SOURCE_DIR}/cmake/embed_studio.cmake
    DEPENDS ${sources} ${studio}/package-lock.json ${studio}/package.json ${studio}/index.html ${studio}/vite.config.ts
            ${studio}/tsconfig.json ${PROJECT_SOURCE_DIR}/cmake/embed_studio.cmake ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
    COMMENT "Building the studio" VERBATIM)
  add_custom_target(studio DEPENDS ${stamp})
endfunction()
