# trestle_pinned_source(NAME VARIABLE): the folder of a dependency of third_party/sources.txt, fetched if it is missing.

function(trestle_pinned_source name variable)
  set(script "${PROJECT_SOURCE_DIR}/third_party/fetch_sources")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    "${PROJECT_SOURCE_DIR}/third_party/sources.txt")
  execute_process(COMMAND bash "${script}" "${name}" RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "The source of ${name} could not be fetched; see above. TRESTLE_ABSEIL and "
      "TRESTLE_BORINGSSL also take the path of a source (docs/embedding.md).")
  endif()
  execute_process(COMMAND bash "${script}" --path "${name}" OUTPUT_VARIABLE folder
    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(${variable} "${folder}" PARENT_SCOPE)
endfunction()
