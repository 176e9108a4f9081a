# `cmake --install` puts the command, the library with its headers, the bundled model and what
# find_package(kontext) needs under one prefix.
include(CMakePackageConfigHelpers)

target_compile_features(kontext PUBLIC cxx_std_20)
install(TARGETS kontext EXPORT kontextTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/kontext DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h
        PATTERN serve.h EXCLUDE)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/models/mini ${PROJECT_SOURCE_DIR}/models/mini-lora
        ${PROJECT_SOURCE_DIR}/models/flux1-tokenizers DESTINATION ${CMAKE_INSTALL_DATADIR}/kontext/models)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET kontext_cli)
  # An oneDNN outside of the system's folders is found again by the installed command.
  set_target_properties(kontext_cli PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
endif()

set(kontext_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kontext)
install(EXPORT kontextTargets NAMESPACE kontext:: DESTINATION ${kontext_cmake_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/kontextConfig.cmake.in ${PROJECT_BINARY_DIR}/kontextConfig.cmake
                              INSTALL_DESTINATION ${kontext_cmake_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kontextConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kontextConfig.cmake ${PROJECT_BINARY_DIR}/kontextConfigVersion.cmake
        DESTINATION ${kontext_cmake_dir})
