# Unit test programs and the list of all tests. Every test runs through
# tools/test/runtest.sh, which counts its cases; see there for the arguments.
# A test's name is <area>/<name>[/<tag>], and the area is its label. Those of
# several seconds on each version have the label "slow", too: `./dev test`
# leaves them to `./dev check`, unless they are named. So it does with those of
# `long_tests` on other versions than 5.4 and LuaJIT.

set(slow_tests
  lua/bench
  lua/benchhttp
  lua/benchnet
  lua/benchsocket
  lua/benchtls
  regress/031-a-poke-that-a-coroutine-took-with-it
  regress/113-finalizers-that-wait-at-the-end
  regress/114-what-finalizers-wait-for-at-the-end
  regress/169-what-the-end-of-a-task-lost
  regress/171-handlers-that-compute
  regress/176-calls-that-catch-again-and-again
  regress/177-a-cycle-of-call-metamethods
  regress/192-the-end-of-what-will-not-end
  regress/204-many-tasks-that-clean-up-for-long
  regress/229-errors-in-hooks-without-memory)

set(long_tests
  lua/account
  lua/deadlock
  lua/docs
  lua/examples
  lua/examples_crawler
  lua/examples_fs
  lua/examples_http
  lua/examples_socket
  lua/examples_web
  lua/exit
  lua/fork
  lua/fs
  lua/fs_again
  lua/fs_order
  lua/fs_tree
  lua/gc
  lua/guard
  lua/main
  lua/manual
  lua/net
  lua/net_copy
  lua/net_finalizer
  lua/net_listener
  lua/net_resolve
  lua/net_stream
  lua/pool
  lua/process
  lua/program
  lua/stdio
  lua/task
  lua/told
  lua/watch
  lua/watch_again
  lua/watch_tree
  modules/tls
  modules/tls_peers)

set(results ${CMAKE_BINARY_DIR}/results)
file(MAKE_DIRECTORY ${results})

# casting_test(NAME area/name KIND tap|script [TAG tag] [TIMEOUT s]
#   COMMAND ...)
function(casting_test)
  cmake_parse_arguments(T "" "NAME;KIND;TAG;TIMEOUT" "COMMAND" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  math(EXPR timeout "${T_TIMEOUT} * ${CASTING_TIME_FACTOR}")
  set(name ${T_NAME})
  set(options -r ${results} -t ${timeout} -f ${CASTING_TIME_FACTOR})
  if(CASTING_COLLECT)
    list(APPEND options -c)
  endif()
  if(T_TAG)
    set(name ${name}/${T_TAG})
    list(APPEND options -m ${CMAKE_BINARY_DIR}/${T_TAG})
  endif()
  string(REGEX REPLACE "/.*" "" labels ${name})
  if(T_NAME IN_LIST slow_tests OR
      (T_NAME IN_LIST long_tests AND T_TAG MATCHES "lua5[.][1235]"))
    list(APPEND labels slow)
  endif()
  add_test(NAME ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tools/test/runtest.sh ${options} ${name} ${T_KIND} ${T_COMMAND})
  math(EXPR limit "${timeout} + 20")
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${limit})
endfunction()

# -- unit tests ---------------------------------------------------------------

# The libraries under test are archives: a test is linked with what it uses.
find_path(CASTING_CMOCKA_INCLUDE cmocka.h)
find_library(CASTING_CMOCKA cmocka)
file(GLOB unit_tests CONFIGURE_DEPENDS tests/unit/*.c)
if(core_sources AND CASTING_CMOCKA_INCLUDE AND CASTING_CMOCKA)
  set(with_cmocka ON)
  add_library(core-test STATIC EXCLUDE_FROM_ALL ${core_sources})
  target_compile_definitions(core-test PUBLIC CAST_DEBUG=2)
  target_include_directories(core-test SYSTEM PUBLIC
    ${CASTING_CMOCKA_INCLUDE})
  target_link_libraries(core-test PUBLIC ${CASTING_CMOCKA} ${CMAKE_DL_LIBS} m)
else()
  set(with_cmocka OFF)
endif()
add_custom_target(unit-tests)

# casting_unit(name source [tag])
function(casting_unit name source)
  set(target unit-${name})
  set(tag "${ARGN}")
  if(tag)
    set(target unit-${name}-${tag})
  endif()
  add_executable(${target} EXCLUDE_FROM_ALL ${source})
  target_compile_definitions(${target} PRIVATE "_GNU_SOURCE=")
  target_compile_options(${target} PRIVATE -Wno-missing-prototypes)
  set_target_properties(${target} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/unit)
  if(tag)
    target_link_libraries(${target} PRIVATE binding-test-${tag})
  else()
    target_link_libraries(${target} PRIVATE core-test)
  endif()
  add_dependencies(unit-tests ${target})
  set(command $<TARGET_FILE:${target}>)
  if(CASTING_UNIT_WRAPPER)
    set(command ${CASTING_UNIT_WRAPPER} ${command})
  endif()
  if(tag)
    casting_test(NAME unit/${name}/${tag} KIND tap COMMAND ${command})
  else()
    casting_test(NAME unit/${name} KIND tap COMMAND ${command})
  endif()
endfunction()

foreach(tag IN LISTS tags)
  set(v ${${tag}_version})
  if(v STREQUAL "luajit")
    find_library(CASTING_LIB_${v} NAMES luajit-5.1)
  else()
    string(REPLACE "." "" short ${v})
    find_library(CASTING_LIB_${v} NAMES lua${v} lua-${v} lua${short})
  endif()
  if(with_cmocka AND lua_sources AND CASTING_LIB_${v})
    casting_binding(binding-test-${tag} ${tag} STATIC EXCLUDE_FROM_ALL)
    target_link_libraries(binding-test-${tag} PUBLIC core-test
      ${CASTING_LIB_${v}} m)
    casting_wanted(${v} wanted)
    target_link_options(binding-test-${tag} PUBLIC LINKER:-u,${wanted})
  endif()
  if(TARGET module-${tag} AND CASTING_LIB_${v})
    casting_examples(${tag} ${v} ${CASTING_LIB_${v}})
    add_dependencies(unit-tests host-${tag} parkmod-${tag})
    if(TARGET redismod-${tag})
      add_dependencies(unit-tests redismod-${tag})
    endif()
    casting_test(NAME examples/host TAG ${tag} KIND script
      COMMAND ${CASTING_UNIT_WRAPPER} $<TARGET_FILE:host-${tag}> 20000)
  endif()
endforeach()

if(with_cmocka)
  foreach(source IN LISTS unit_tests)
    get_filename_component(name ${source} NAME_WE)
    file(GLOB of_binding ${CMAKE_SOURCE_DIR}/src/lua/*/${name}.c)
    if(name MATCHES "^lua_" OR of_binding)
      foreach(tag IN LISTS tags)
        if(TARGET binding-test-${tag})
          casting_unit(${name} ${source} ${tag})
        endif()
      endforeach()
    else()
      casting_unit(${name} ${source})
    endif()
  endforeach()
endif()

include(cmake/fuzz.cmake)

# -- examples -------------------------------------------------------------------

# C modules for Lua tests, beside the module under test: that of
# examples/buffer.lua, and those of tests/modules.
function(casting_test_module tag source)
  get_filename_component(name ${source} NAME_WE)
  set(target test-${name}-${tag})
  add_library(${target} MODULE EXCLUDE_FROM_ALL ${source})
  target_include_directories(${target} SYSTEM PRIVATE ${${tag}_include})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ${name} PREFIX "" SUFFIX .so C_VISIBILITY_PRESET default
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${tag})
  if(APPLE)
    target_link_options(${target} PRIVATE -undefined dynamic_lookup)
  endif()
  add_dependencies(unit-tests ${target})
endfunction()

file(GLOB test_modules CONFIGURE_DEPENDS tests/modules/*.c)
foreach(tag IN LISTS tags)
  foreach(source examples/buffer.c ${test_modules})
    casting_test_module(${tag} ${source})
  endforeach()
endforeach()

# -- Lua tests ------------------------------------------------------------------

# Makes `script`, which runs `program` with the library CASTING_PRELOAD loaded
# first, and sets variable to it. The loader does it, not LD_PRELOAD: children
# must not inherit it, for many programs (dash) crash under ThreadSanitizer.
function(preloading variable program script)
  execute_process(COMMAND readelf -l ${program} OUTPUT_VARIABLE headers)
  string(REGEX MATCH "interpreter: ([^]]*)" found "${headers}")
  set(loader ${CMAKE_MATCH_1})
  file(WRITE ${script}.new "#!/bin/sh\nexec '${loader}' --preload \
'${CASTING_PRELOAD}' '${program}' \"$@\"\n")
  get_filename_component(dir ${script} DIRECTORY)
  get_filename_component(name ${script} NAME)
  file(COPY ${script}.new DESTINATION ${dir}/made FILE_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
    WORLD_READ WORLD_EXECUTE)
  file(RENAME ${dir}/made/${name}.new ${script})
  set(${variable} ${script} PARENT_SCOPE)
endfunction()

find_program(CASTING_OPENSSL openssl) # makes the certificates for them
file(GLOB lua_specs CONFIGURE_DEPENDS tests/lua/*_spec.lua)
file(GLOB lua_regress CONFIGURE_DEPENDS tests/regress/*.lua)
file(GLOB lua_stress CONFIGURE_DEPENDS tests/stress/*.lua)
foreach(tag IN LISTS tags)
  if(NOT TARGET module-${tag})
    continue()
  endif()
  set(v ${${tag}_version})
  if(v STREQUAL "luajit")
    find_program(CASTING_LUA_${v} NAMES luajit)
  else()
    string(REPLACE "." "" short ${v})
    find_program(CASTING_LUA_${v} NAMES lua${v} lua-${v} lua${short})
  endif()
  set(lua ${CASTING_LUA_${v}})
  if(NOT lua)
    continue()
  endif()
  casting_test(NAME rules/embed-${tag} KIND script
    COMMAND sh tools/test/embed.sh ${lua} ${CMAKE_C_COMPILER})
  if(CASTING_PRELOAD)
    preloading(lua ${lua} ${CMAKE_BINARY_DIR}/bin/${tag})
  endif()
  set(lua ${CASTING_LUA_WRAPPER} ${lua})
  foreach(file IN LISTS lua_specs)
    get_filename_component(name ${file} NAME_WE)
    string(REGEX REPLACE "_spec$" "" name ${name})
    casting_test(NAME lua/${name} KIND tap TAG ${tag} TIMEOUT 600
      COMMAND ${lua} tools/test/busted.lua -o TAP
      ${CASTING_BUSTED_OPTIONS} tests/lua/${name}_spec.lua)
  endforeach()
  foreach(module tls http)
    if(NOT module_${module} OR (module STREQUAL tls AND NOT CASTING_OPENSSL))
      continue()
    endif()
    file(GLOB specs CONFIGURE_DEPENDS modules/${module}/tests/*_spec.lua)
    foreach(file IN LISTS specs)
      get_filename_component(name ${file} NAME_WE)
      string(REGEX REPLACE "_spec$" "" name ${name})
      casting_test(NAME modules/${name} KIND tap TAG ${tag} TIMEOUT 600
        COMMAND ${lua} tools/test/busted.lua -o TAP
        ${CASTING_BUSTED_OPTIONS} ${file})
    endforeach()
  endforeach()
  foreach(area regress stress)
    foreach(file IN LISTS lua_${area})
      get_filename_component(name ${file} NAME_WE)
      casting_test(NAME ${area}/${name} KIND script TAG ${tag} TIMEOUT 600
        COMMAND ${lua} tests/${area}/${name}.lua)
    endforeach()
  endforeach()
endforeach()

# -- rules ----------------------------------------------------------------------

casting_test(NAME rules/lint KIND script COMMAND sh tools/lint/lint.sh)
casting_test(NAME rules/pairs KIND script COMMAND sh tools/lint/pairs.sh)
casting_test(NAME rules/names KIND script COMMAND sh tools/lint/names.sh)
casting_test(NAME rules/changelog KIND script
  COMMAND sh tools/lint/changelog.sh)
casting_test(NAME rules/commits KIND script COMMAND sh tools/lint/commits.sh)
casting_test(NAME rules/dev KIND tap COMMAND sh tools/test/dev.sh)
casting_test(NAME rules/api KIND script COMMAND sh tools/lint/api.sh)
