# The libraries of integrations/: trestle::capture, trestle::http1 and so on, by TRESTLE_INTEGRATIONS. Each needs a library that the
# floors don't have (docs/dependencies.md), and says which if it is missing. They are for hosts that add Trestle as a folder; they
# are not installed.

set(TRESTLE_ALL_INTEGRATIONS asio c_ares capture compression http http1 modsecurity openssl_signer pkcs11 prometheus redis remote_signer spiffe)

# An INTERFACE library trestle_external_NAME of an installed library: its HEADER, its LIBRARIES, and the PACKAGE of Debian.
function(trestle_external name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "HEADER;PACKAGE;FOLDER" "LIBRARIES")
  if(TARGET trestle_external_${name})
    return()
  endif()
  find_path(TRESTLE_${name}_INCLUDE_DIR "${arg_HEADER}" PATHS ${arg_FOLDER})
  set(paths "${TRESTLE_${name}_INCLUDE_DIR}")
  add_library(trestle_external_${name} INTERFACE)
  foreach(library IN LISTS arg_LIBRARIES)
    find_library(TRESTLE_${library}_LIBRARY "${library}")
    list(APPEND paths "${TRESTLE_${library}_LIBRARY}")
    target_link_libraries(trestle_external_${name} INTERFACE "${TRESTLE_${library}_LIBRARY}")
  endforeach()
  if("${paths}" MATCHES "NOTFOUND")
    message(FATAL_ERROR "TRESTLE_INTEGRATIONS or TRESTLE_EXAMPLES needs ${arg_HEADER} (${name}), which is missing. Install "
      "Debian's ${arg_PACKAGE}, or set TRESTLE_${name}_INCLUDE_DIR. docs/dependencies.md has its upstream.")
  endif()
  target_include_directories(trestle_external_${name} SYSTEM INTERFACE "${TRESTLE_${name}_INCLUDE_DIR}")
endfunction()

# llhttp comes as C sources. Without strict mode it accepts a bare LF in some places, and white space before a colon.
function(trestle_external_llhttp_source)
  if(TARGET trestle_external_llhttp)
    return()
  endif()
  find_path(TRESTLE_llhttp_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp)
  find_path(TRESTLE_llhttp_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp)
  if(NOT TRESTLE_llhttp_INCLUDE_DIR OR NOT TRESTLE_llhttp_SOURCE_DIR)
    message(FATAL_ERROR "TRESTLE_INTEGRATIONS or TRESTLE_EXAMPLES needs llhttp.h and llhttp.c (llhttp), which are missing. Install "
      "Debian's node-llhttp, or set TRESTLE_llhttp_INCLUDE_DIR and TRESTLE_llhttp_SOURCE_DIR.")
  endif()
  add_library(trestle_external_llhttp STATIC "${TRESTLE_llhttp_SOURCE_DIR}/api.c" "${TRESTLE_llhttp_SOURCE_DIR}/http.c"
    "${TRESTLE_llhttp_SOURCE_DIR}/llhttp.c")
  target_compile_definitions(trestle_external_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_include_directories(trestle_external_llhttp SYSTEM PUBLIC "${TRESTLE_llhttp_INCLUDE_DIR}")
endfunction()

# trestle_integration(NAME DEPS libraries of Trestle ABSEIL … EXTERNAL …): all sources of integrations/NAME/.
function(trestle_integration name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPS;ABSEIL;EXTERNAL")
  list(TRANSFORM arg_DEPS PREPEND "trestle_")
  list(TRANSFORM arg_ABSEIL PREPEND "absl::")
  list(TRANSFORM arg_EXTERNAL PREPEND "trestle_external_")
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/integrations/${name}/*.cc")
  add_library(trestle_${name} STATIC ${sources})
  add_library(trestle::${name} ALIAS trestle_${name})
  # Headers are included as "integrations/NAME/x.h".
  target_include_directories(trestle_${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(trestle_${name} PUBLIC ${arg_DEPS} ${arg_ABSEIL} ${arg_EXTERNAL} ${CMAKE_DL_LIBS})
  if(TRESTLE_WARNINGS)
    target_compile_options(trestle_${name} PRIVATE -Wall -Wextra -Werror)
  endif()
endfunction()

set(trestle_wanted ${TRESTLE_INTEGRATIONS})
if(TRESTLE_EXAMPLES OR "all" IN_LIST trestle_wanted)
  set(trestle_wanted ${TRESTLE_ALL_INTEGRATIONS})
endif()
foreach(name IN LISTS trestle_wanted)
  if(NOT name IN_LIST TRESTLE_ALL_INTEGRATIONS)
    message(FATAL_ERROR "TRESTLE_INTEGRATIONS names ${name}; there are all, ${TRESTLE_ALL_INTEGRATIONS}.")
  endif()
endforeach()
# Integrations that others stand on.
if("spiffe" IN_LIST trestle_wanted)
  list(APPEND trestle_wanted http)
endif()
if("http" IN_LIST trestle_wanted OR "modsecurity" IN_LIST trestle_wanted OR "prometheus" IN_LIST trestle_wanted)
  list(APPEND trestle_wanted http1)
endif()
foreach(name IN LISTS trestle_wanted)
  if(NOT TRESTLE_TLS AND NOT name STREQUAL "capture" AND NOT name STREQUAL "asio")
    message(FATAL_ERROR "TRESTLE_TLS is OFF, and integration ${name} needs it; only asio and capture do not.")
  endif()
endforeach()

if("asio" IN_LIST trestle_wanted)
  trestle_external(asio HEADER asio.hpp PACKAGE libasio-dev)
  trestle_integration(asio
    DEPS io
    ABSEIL synchronization
    EXTERNAL asio)
endif()

if("c_ares" IN_LIST trestle_wanted)
  trestle_external(cares HEADER ares.h LIBRARIES cares PACKAGE libc-ares-dev)
  trestle_integration(c_ares
    DEPS linux
    ABSEIL flat_hash_map
    EXTERNAL cares)
endif()

if("capture" IN_LIST trestle_wanted)
  trestle_integration(capture
    DEPS linux router)
endif()

if("compression" IN_LIST trestle_wanted)
  trestle_external(brotli HEADER brotli/encode.h LIBRARIES brotlienc brotlidec PACKAGE libbrotli-dev)
  trestle_external(zlib HEADER zlib.h LIBRARIES z PACKAGE zlib1g-dev)
  trestle_integration(compression
    DEPS tls
    EXTERNAL brotli zlib)
endif()

if("http1" IN_LIST trestle_wanted)
  trestle_external_llhttp_source()
  trestle_integration(http1
    DEPS proxy
    ABSEIL flat_hash_map
    EXTERNAL llhttp)
endif()

if("http" IN_LIST trestle_wanted)
  trestle_external(nghttp2 HEADER nghttp2/nghttp2.h LIBRARIES nghttp2 PACKAGE libnghttp2-dev)
  trestle_integration(http
    DEPS http1
    ABSEIL flat_hash_map flat_hash_set random_random
    EXTERNAL nghttp2)
endif()

if("modsecurity" IN_LIST trestle_wanted)
  trestle_external(modsecurity HEADER modsecurity/modsecurity.h LIBRARIES modsecurity PACKAGE libmodsecurity-dev)
  trestle_external(pcre2 HEADER pcre2.h LIBRARIES pcre2-8 PACKAGE libpcre2-dev)
  trestle_external(nlohmann_json HEADER nlohmann/json.hpp PACKAGE nlohmann-json3-dev)
  trestle_integration(modsecurity
    DEPS http1
    ABSEIL synchronization
    EXTERNAL modsecurity pcre2 nlohmann_json)
endif()

if("openssl_signer" IN_LIST trestle_wanted)
  trestle_integration(openssl_signer
    DEPS tls)
  target_link_libraries(trestle_openssl_signer PUBLIC ${CMAKE_DL_LIBS})
endif()

if("pkcs11" IN_LIST trestle_wanted)
  trestle_external(p11_kit HEADER p11-kit/uri.h LIBRARIES p11-kit PACKAGE libp11-kit-dev FOLDER /usr/include/p11-kit-1)
  trestle_integration(pkcs11
    DEPS tls linux
    ABSEIL synchronization
    EXTERNAL p11_kit)
endif()

if("prometheus" IN_LIST trestle_wanted)
  trestle_external(prometheus_cpp HEADER prometheus/registry.h LIBRARIES prometheus-cpp-core PACKAGE prometheus-cpp-dev)
  trestle_external(nlohmann_json HEADER nlohmann/json.hpp PACKAGE nlohmann-json3-dev)
  trestle_integration(prometheus
    DEPS watch linux http1
    ABSEIL flat_hash_set synchronization
    EXTERNAL prometheus_cpp nlohmann_json)
endif()

if("redis" IN_LIST trestle_wanted)
  trestle_external(hiredis HEADER hiredis/hiredis.h LIBRARIES hiredis PACKAGE libhiredis-dev)
  trestle_integration(redis
    DEPS tls
    ABSEIL random_random
    EXTERNAL hiredis)
endif()

if("remote_signer" IN_LIST trestle_wanted)
  trestle_integration(remote_signer
    DEPS proxy
    ABSEIL synchronization)
endif()

if("spiffe" IN_LIST trestle_wanted)
  trestle_integration(spiffe
    DEPS http tls)
endif()
