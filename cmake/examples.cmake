# The programs of examples/, by TRESTLE_EXAMPLES. They need all integrations, and the libraries below.

# Other loops: asio_host, asio_native_host and libuv_host.
trestle_external(asio HEADER asio.hpp PACKAGE libasio-dev)
trestle_external(libuv HEADER uv.h LIBRARIES uv PACKAGE libuv1-dev)

# The commit of the BoringSSL that is pinned, for --version.
file(STRINGS "${PROJECT_SOURCE_DIR}/third_party/sources.txt" trestle_pin REGEX "^boringssl ")
string(REGEX REPLACE "^boringssl +[^ ]+ +([0-9a-f]+) .*" "\\1" trestle_pin "${trestle_pin}")
file(WRITE "${PROJECT_BINARY_DIR}/generated/examples/support/boringssl_commit.h"
  "#pragma once\nnamespace trestle::examples {\ninline constexpr char kBoringsslCommit[] = \"${trestle_pin}\";\n}\n")

file(GLOB trestle_support CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/support/*.cc")
add_library(trestle_example_support STATIC ${trestle_support})
target_include_directories(trestle_example_support
  PUBLIC "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/generated")
target_link_libraries(trestle_example_support PUBLIC trestle_proxy trestle_watch trestle_linux
  trestle_testing
  trestle_asio trestle_c_ares trestle_capture trestle_compression trestle_http trestle_http1 trestle_modsecurity trestle_openssl_signer
  trestle_pkcs11 trestle_prometheus trestle_redis trestle_remote_signer trestle_spiffe trestle_external_asio trestle_external_libuv
  absl::flags absl::flags_parse absl::flags_usage absl::flags_reflection absl::flags_commandlineflag)

# Each examples/NAME.cc is a program; examples/NAME/ has its other files, if any.
file(GLOB trestle_programs CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cc")
foreach(source IN LISTS trestle_programs)
  get_filename_component(name "${source}" NAME_WE)
  file(GLOB parts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/${name}/*.cc")
  add_executable(trestle_${name} "${source}" ${parts})
  set_target_properties(trestle_${name} PROPERTIES OUTPUT_NAME ${name})
  target_link_libraries(trestle_${name} PRIVATE trestle_example_support)
endforeach()
