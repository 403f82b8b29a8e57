# trestle_library(NAME [TLS] [GTEST] [DEPS …] [ABSEIL …] [BORINGSSL …] HEADERS … [SOURCES …]): the library trestle::NAME.
#
#   DEPS       libraries of Trestle that it stands on; a file includes its own library and those below
#   GTEST      it needs GoogleTest: it exists only with TRESTLE_CONFORMANCE, and is not installed
#   ABSEIL     parts of Abseil beside those that every library may use
#   BORINGSSL  crypto, ssl, pki; with these the library exists only with TRESTLE_TLS
#   HEADERS    the public headers, which are installed
#   SOURCES    what is compiled; none for a library of headers

# bazel/floors.bzl has the same list.
set(TRESTLE_ABSEIL_EVERYWHERE
  algorithm_container any_invocable core_headers function_ref memory span status statusor strings time)

function(trestle_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TLS;GTEST" "" "DEPS;ABSEIL;BORINGSSL;HEADERS;SOURCES")
  if((arg_TLS OR arg_BORINGSSL) AND NOT TRESTLE_TLS)
    return()
  endif()
  if(arg_GTEST AND NOT TRESTLE_CONFORMANCE)
    return()
  endif()
  set(target trestle_${name})
  set(abseil ${TRESTLE_ABSEIL_EVERYWHERE} ${arg_ABSEIL})
  list(TRANSFORM abseil PREPEND "absl::")
  set(deps ${arg_DEPS})
  list(TRANSFORM deps PREPEND "trestle_")
  set(boringssl ${arg_BORINGSSL})
  list(TRANSFORM boringssl PREPEND "trestle_boringssl_")

  if(arg_SOURCES)
    list(TRANSFORM arg_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/")
    add_library(${target} STATIC ${arg_SOURCES})
    set(public PUBLIC)
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${target} PRIVATE ${boringssl})
  else()
    add_library(${target} INTERFACE)
    set(public INTERFACE)
  endif()
  add_library(trestle::${name} ALIAS ${target})
  target_compile_features(${target} ${public} cxx_std_17)
  target_include_directories(${target} ${public}
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_link_libraries(${target} ${public} ${deps} ${abseil} Threads::Threads)
  if(TRESTLE_WARNINGS AND arg_SOURCES)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Werror)
  endif()
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name}
    TRESTLE_HEADERS "${arg_HEADERS}"
    TRESTLE_DEPS "${arg_DEPS}"
    TRESTLE_ABSEIL "${arg_ABSEIL}"
    TRESTLE_BORINGSSL "${arg_BORINGSSL}")
  if(NOT arg_GTEST)
    set_property(GLOBAL APPEND PROPERTY TRESTLE_LIBRARIES ${name})
    return()
  endif()
  if(NOT TARGET GTest::gtest)
    find_package(GTest)
    if(NOT TARGET GTest::gtest)
      message(FATAL_ERROR "TRESTLE_CONFORMANCE needs GoogleTest, which is missing. Install Debian's libgtest-dev, or set "
        "GTest_DIR.")
    endif()
    set_target_properties(GTest::gtest PROPERTIES IMPORTED_GLOBAL ON)  # the host links it, too
  endif()
  target_link_libraries(${target} PUBLIC GTest::gtest)
endfunction()

# After the last library: names that are no library of their own.
function(trestle_finish_libraries)
  add_library(trestle::posix ALIAS trestle_linux)  # the name before 0.2
  if(TRESTLE_TLS)
    target_link_libraries(trestle_testing INTERFACE trestle_testing_tls)
  endif()
endfunction()
