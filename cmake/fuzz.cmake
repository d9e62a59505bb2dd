# The fuzz targets, tests/fuzz/*.c: see tests/fuzz/README.md. Each is linked
# with an archive of all of the binding and the core, so that a new file needs
# no mention here, and that a target may have stand-ins for some of it.
#
#   <tag>/fuzz-<target>     with CASTING_FUZZ, by clang: a program of libFuzzer
#   <tag>/replay-<target>   without: runs the target on the files it is given

file(GLOB fuzz_sources CONFIGURE_DEPENDS tests/fuzz/*.c)
list(REMOVE_ITEM fuzz_sources ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)

# The target `http` reads heads beside llhttp, which Debian's node-llhttp has as
# sources; where it is not there, the target is not.
find_path(LLHTTP_SOURCES llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp)
if(LLHTTP_SOURCES AND LLHTTP_INCLUDE)
  file(GLOB llhttp_sources ${LLHTTP_SOURCES}/*.c)
  set_source_files_properties(${llhttp_sources} PROPERTIES COMPILE_OPTIONS -w)
else()
  list(REMOVE_ITEM fuzz_sources ${CMAKE_SOURCE_DIR}/tests/fuzz/http.c)
endif()
function(casting_fuzz_http target tag)
  target_sources(${target} PRIVATE modules/http/head.c modules/http/chunk.c
    ${llhttp_sources})
  target_include_directories(${target} SYSTEM PRIVATE ${LLHTTP_INCLUDE}
    ${${tag}_include})
endfunction()

# The target `websocket` wants zlib, as casting.http does.
if(NOT module_http)
  list(REMOVE_ITEM fuzz_sources ${CMAKE_SOURCE_DIR}/tests/fuzz/websocket.c)
endif()
function(casting_fuzz_websocket target tag)
  target_sources(${target} PRIVATE modules/http/codec.c modules/http/deflate.c
    modules/http/digest.c modules/http/frame.c)
  target_include_directories(${target} SYSTEM PRIVATE ${${tag}_include})
  target_link_libraries(${target} PRIVATE PkgConfig::LIB_http)
endfunction()

# What targets have beside casting.
function(casting_fuzz_sources name target tag)
  if(name STREQUAL "http")
    casting_fuzz_http(${target} ${tag})
  elseif(name STREQUAL "websocket")
    casting_fuzz_websocket(${target} ${tag})
  endif()
endfunction()

# casting_fuzzer(target tag): what both kinds have in common
function(casting_fuzzer target tag)
  set_target_properties(${target} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${tag})
  target_compile_definitions(${target} PRIVATE "_GNU_SOURCE="
    FUZZ_DIR="${CMAKE_SOURCE_DIR}/tests/fuzz")
endfunction()

# casting_fuzz(tag library-of-lua)
function(casting_fuzz tag lua)
  casting_binding(fuzz-${tag} ${tag} STATIC EXCLUDE_FROM_ALL)
  target_link_libraries(fuzz-${tag} PUBLIC fuzz-core ${lua} m)
  casting_wanted(${${tag}_version} wanted)
  target_link_options(fuzz-${tag} PUBLIC LINKER:-u,${wanted})
  foreach(source IN LISTS fuzz_sources)
    get_filename_component(name ${source} NAME_WE)
    set(target fuzz-${name}-${tag})
    add_executable(${target} EXCLUDE_FROM_ALL ${source})
    casting_fuzzer(${target} ${tag})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME fuzz-${name})
    target_link_libraries(${target} PRIVATE fuzz-${tag})
    casting_fuzz_sources(${name} ${target} ${tag})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzz-targets ${target})
  endforeach()
endfunction()

# casting_replay(tag): the corpus as tests
function(casting_replay tag)
  foreach(source IN LISTS fuzz_sources)
    get_filename_component(name ${source} NAME_WE)
    set(target replay-${name}-${tag})
    add_executable(${target} EXCLUDE_FROM_ALL ${source} tests/fuzz/replay.c)
    casting_fuzzer(${target} ${tag})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME replay-${name})
    target_link_libraries(${target} PRIVATE binding-test-${tag})
    casting_fuzz_sources(${name} ${target} ${tag})
    add_dependencies(unit-tests ${target})
    casting_test(NAME fuzz/${name} TAG ${tag} KIND script
      COMMAND ${CASTING_UNIT_WRAPPER} $<TARGET_FILE:${target}>
      tests/fuzz/corpus/${name})
  endforeach()
endfunction()

add_custom_target(fuzz-targets)
if(CASTING_FUZZ)
  add_library(fuzz-core STATIC EXCLUDE_FROM_ALL ${core_sources})
  target_compile_definitions(fuzz-core PUBLIC CAST_DEBUG=1)
  target_link_libraries(fuzz-core PUBLIC ${CMAKE_DL_LIBS})
endif()
foreach(tag IN LISTS tags)
  set(lua ${CASTING_LIB_${${tag}_version}})
  if(CASTING_FUZZ AND lua)
    casting_fuzz(${tag} ${lua})
  elseif(TARGET binding-test-${tag})
    casting_replay(${tag})
  endif()
endforeach()
