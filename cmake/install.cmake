# `cmake --install`: archives, public headers, the config package (find_package(trestle 0.2 COMPONENTS …)) and a .pc file for
# each library. Headers of lib/ and of BoringSSL are not installed.

include(CMakePackageConfigHelpers)

# `cmake --install --prefix` may choose another prefix than the one that was configured, so .pc files find theirs from their
# own place.
set(trestle_pc_folder "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH trestle_pc_to_prefix "/${trestle_pc_folder}" "/")
string(REGEX REPLACE "/$" "" trestle_pc_to_prefix "${trestle_pc_to_prefix}")

set(TRESTLE_CONFIG_FOLDER "${CMAKE_INSTALL_LIBDIR}/cmake/trestle")

# The .pc file of a library. The archives are static, so that Requires and Libs have everything.
function(trestle_install_pkg_config name)
  get_target_property(deps trestle_${name} TRESTLE_DEPS)
  get_target_property(abseil trestle_${name} TRESTLE_ABSEIL)
  get_target_property(boringssl trestle_${name} TRESTLE_BORINGSSL)
  get_target_property(type trestle_${name} TYPE)
  list(TRANSFORM deps PREPEND "trestle_")
  set(abseil ${TRESTLE_ABSEIL_EVERYWHERE} ${abseil})
  list(TRANSFORM abseil PREPEND "absl_")
  list(JOIN abseil " " abseil)
  list(JOIN deps " " deps)
  set(libs "")
  if(NOT type STREQUAL "INTERFACE_LIBRARY")
    set(libs "-ltrestle_${name}")
  endif()
  foreach(part IN LISTS boringssl)
    string(APPEND libs " -ltrestle_boringssl_${part}")
  endforeach()
  if(boringssl AND NOT "crypto" IN_LIST boringssl)
    string(APPEND libs " -ltrestle_boringssl_crypto")
  endif()
  configure_file("${PROJECT_SOURCE_DIR}/cmake/trestle.pc.in" "${PROJECT_BINARY_DIR}/trestle_${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/trestle_${name}.pc" DESTINATION "${trestle_pc_folder}")
endfunction()

function(trestle_install_headers name)
  get_target_property(headers trestle_${name} TRESTLE_HEADERS)
  foreach(header IN LISTS headers)
    get_filename_component(folder "${header}" DIRECTORY)
    string(REGEX REPLACE "^include" "${CMAKE_INSTALL_INCLUDEDIR}" folder "${folder}")
    install(FILES "${PROJECT_SOURCE_DIR}/${header}" DESTINATION "${folder}")
  endforeach()
endfunction()

get_property(trestle_libraries GLOBAL PROPERTY TRESTLE_LIBRARIES)
set(trestle_targets ${trestle_libraries})
list(TRANSFORM trestle_targets PREPEND "trestle_")
if(TRESTLE_TLS)
  list(APPEND trestle_targets trestle_boringssl_crypto trestle_boringssl_ssl trestle_boringssl_pki)
endif()
install(TARGETS ${trestle_targets} EXPORT trestle ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
foreach(name IN LISTS trestle_libraries)
  trestle_install_headers(${name})
  trestle_install_pkg_config(${name})
endforeach()

install(EXPORT trestle NAMESPACE trestle:: FILE trestleTargets.cmake DESTINATION "${TRESTLE_CONFIG_FOLDER}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/trestleConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/trestleConfig.cmake" INSTALL_DESTINATION "${TRESTLE_CONFIG_FOLDER}")
# Below 1.0.0 a minor version may change the API.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/trestleConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/trestleConfig.cmake" "${PROJECT_BINARY_DIR}/trestleConfigVersion.cmake"
  DESTINATION "${TRESTLE_CONFIG_FOLDER}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/trestle")
