# BoringSSL over its own gen/sources.cmake, as third_party/boringssl/boringssl.BUILD has it: trestle_boringssl_crypto, _ssl and _pki.
# They are Trestle's own: no public header includes one of BoringSSL's, and their symbols stay out of dynamic tables.

function(trestle_boringssl_folder variable)
  if(TRESTLE_BORINGSSL STREQUAL "pinned")
    trestle_pinned_source(boringssl folder)
  else()
    set(folder "${TRESTLE_BORINGSSL}")
  endif()
  if(NOT EXISTS "${folder}/gen/sources.cmake")
    message(FATAL_ERROR "TRESTLE_BORINGSSL is \"${TRESTLE_BORINGSSL}\"; it must be pinned, targets, or the path of a "
      "source of BoringSSL, with gen/sources.cmake.")
  endif()
  set(${variable} "${folder}" PARENT_SCOPE)
endfunction()

# Cryptography is optimised in every mode: -O0 makes handshakes tens of times slower. Hidden visibility keeps these symbols
# from replacing those of an OpenSSL that a shared library of the program uses.
function(trestle_add_boringssl_library name folder)
  list(TRANSFORM ARGN PREPEND "${folder}/")
  add_library(trestle_boringssl_${name} STATIC ${ARGN})
  target_include_directories(trestle_boringssl_${name} SYSTEM PUBLIC "$<BUILD_INTERFACE:${folder}/include>")
  target_compile_features(trestle_boringssl_${name} PRIVATE cxx_std_17)
  target_compile_definitions(trestle_boringssl_${name} PRIVATE BORINGSSL_IMPLEMENTATION _XOPEN_SOURCE=700)
  target_compile_options(trestle_boringssl_${name} PRIVATE
    $<$<COMPILE_LANGUAGE:C,CXX>:-O3;-DNDEBUG;-fvisibility=hidden;-fno-common;-fno-strict-aliasing;-w>)
endfunction()

function(trestle_add_boringssl)
  trestle_boringssl_folder(folder)
  message(STATUS "Trestle: BoringSSL of ${folder}")
  include("${folder}/gen/sources.cmake")
  trestle_add_boringssl_library(crypto "${folder}"
    ${BCM_SOURCES} ${BCM_SOURCES_ASM} ${CRYPTO_SOURCES} ${CRYPTO_SOURCES_ASM})
  trestle_add_boringssl_library(ssl "${folder}" ${SSL_SOURCES})
  trestle_add_boringssl_library(pki "${folder}" ${PKI_SOURCES})
  target_link_libraries(trestle_boringssl_crypto PUBLIC Threads::Threads)
  target_link_libraries(trestle_boringssl_ssl PUBLIC trestle_boringssl_crypto)
  target_link_libraries(trestle_boringssl_pki PUBLIC trestle_boringssl_crypto)
endfunction()

# A host that has BoringSSL already must not link a second copy.
function(trestle_use_boringssl_of_host)
  foreach(name IN ITEMS crypto ssl pki)
    if(NOT TARGET ${name})
      message(FATAL_ERROR "TRESTLE_BORINGSSL is targets, but there is no target ${name}. Add BoringSSL before Trestle.")
    endif()
    add_library(trestle_boringssl_${name} INTERFACE)
    target_link_libraries(trestle_boringssl_${name} INTERFACE ${name})
  endforeach()
endfunction()

if(TRESTLE_BORINGSSL STREQUAL "targets")
  if(TRESTLE_INSTALL)
    message(FATAL_ERROR "TRESTLE_BORINGSSL=targets can't be installed: the host's targets are not Trestle's. Set "
      "TRESTLE_INSTALL to OFF, or TRESTLE_BORINGSSL to pinned or a path.")
  endif()
  trestle_use_boringssl_of_host()
else()
  enable_language(ASM)
  trestle_add_boringssl()
endif()
