# One object library per folder of src/; the library `kontext` is their sum. Sources are globbed, so a
# new file needs no edit here; tools/check_layers.py keeps the arrows between folders.
#
# kx_layer(base LINK PkgConfig::FMT): every *.cc of the folder (and of SUBFOLDERS) but the tests.
function(kx_layer name)
  cmake_parse_arguments(A "" "" "LINK;SUBFOLDERS" ${ARGN})
  set(patterns ${name}/*.cc)
  foreach(sub ${A_SUBFOLDERS})
    list(APPEND patterns ${name}/${sub}/*.cc)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} ${patterns})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  if(NOT sources)
    return()
  endif()
  add_library(kx_${name} OBJECT ${sources})
  target_include_directories(kx_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(kx_${name} PUBLIC OpenMP::OpenMP_CXX ${A_LINK} PRIVATE kx_warnings)
  set_property(GLOBAL APPEND PROPERTY KX_LAYERS kx_${name})
endfunction()

# kx_tests(name GLOB pattern... [LINK ...] [LABELS ...]): one GoogleTest program from the files.
function(kx_tests name)
  cmake_parse_arguments(A "" "" "GLOB;LINK;LABELS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${A_GLOB})
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE KX_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE kontext_internal GTest::gtest GTest::gmock GTest::gtest_main ${A_LINK} kx_warnings)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS "${A_LABELS}" TIMEOUT 600
                       ENVIRONMENT GOMP_SPINCOUNT=2000)  # as the command does (apps/cli/spinning.h)
  foreach(label ${A_LABELS})  # all programs of a label at once: .ci/run builds some labels only
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
    add_dependencies(tests_${label} ${name})
  endforeach()
endfunction()
