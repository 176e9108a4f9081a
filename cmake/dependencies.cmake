# Everything we build on, found once. docs/dependencies.md has the reason for each.
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)

# oneDNN 2.6 (Debian) or 3.x (KONTEXT_ONEDNN_ROOT names its prefix). Found by hand: Debian's package
# exports the name dnnl, the PyPI builds of 3.x ship no usable CMake files.
set(KONTEXT_ONEDNN_ROOT "" CACHE PATH "Prefix of an oneDNN to use instead of the system's")
if(KONTEXT_ONEDNN_ROOT)
  set(kx_onednn_hints PATHS ${KONTEXT_ONEDNN_ROOT} NO_DEFAULT_PATH)
endif()
find_path(ONEDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp ${kx_onednn_hints} PATH_SUFFIXES include REQUIRED)
find_library(ONEDNN_LIBRARY dnnl ${kx_onednn_hints} PATH_SUFFIXES lib lib64 lib/x86_64-linux-gnu REQUIRED)
add_library(kx::onednn UNKNOWN IMPORTED)
set_target_properties(kx::onednn PROPERTIES IMPORTED_LOCATION ${ONEDNN_LIBRARY}
                      INTERFACE_INCLUDE_DIRECTORIES ${ONEDNN_INCLUDE_DIR}
                      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${ONEDNN_INCLUDE_DIR})

pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy>=1.0)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(ICU REQUIRED IMPORTED_TARGET icu-uc)
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)
pkg_check_modules(JPEG REQUIRED IMPORTED_TARGET libjpeg)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpmux libwebpdemux)
pkg_check_modules(LCMS2 REQUIRED IMPORTED_TARGET lcms2)
pkg_check_modules(EXIF REQUIRED IMPORTED_TARGET libexif)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
find_package(Poco 1.11 REQUIRED COMPONENTS Foundation Net NetSSL)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(FMT REQUIRED IMPORTED_TARGET fmt)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 REQUIRED)
if(KONTEXT_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
