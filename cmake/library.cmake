# The library of one Lua version, which is its module as well: one file under
# two names, so that a process has one copy of it whatever asks for it (see
# "The public library" in docs/DESIGN.md). Included by CMakeLists.txt.
#
#   build    <tag>/casting.so, and beside it libcasting<suffix>.so and .so.0;
#            <tag>/libcasting<suffix>.a, whose one object shows casting.h only
#   install  LIBDIR/libcasting<suffix>.so{,.0,.VERSION}, .a,
#            LIBDIR/lua/<v>/casting.so, LIBDIR/pkgconfig/casting-<v>.pc

set(CASTING_LIBDIR lib CACHE STRING "where libraries go, below the prefix")
option(CASTING_RPATH
  "programs linked by pkg-config look for the library where it is installed" OFF)
set(CASTING_ABI 0) # of the library; changes when old programs break

# What of Lua a program must have that casting looks up weakly (see
# src/lua/compat/version.h), so that it is taken out of an archive of Lua: the
# function which has all the libraries of Lua come with it.
# casting_wanted(version variable)
function(casting_wanted v variable)
  if(v STREQUAL "5.5")
    set(${variable} luaL_openselectedlibs PARENT_SCOPE)
  else()
    set(${variable} luaL_openlibs PARENT_SCOPE)
  endif()
endfunction()

# casting_library(tag version): from the object libraries binding-TAG and core
function(casting_library tag v)
  if(v STREQUAL "luajit")
    set(libsuffix -luajit)
  else()
    set(libsuffix ${v})
  endif()
  set(name libcasting${libsuffix})
  set(dir ${CMAKE_BINARY_DIR}/${tag})
  casting_wanted(${v} wanted)
  set(objects $<TARGET_OBJECTS:binding-${tag}> $<TARGET_OBJECTS:core>)

  add_library(module-${tag} MODULE ${objects})
  set_target_properties(module-${tag} PROPERTIES LINKER_LANGUAGE C
    OUTPUT_NAME casting PREFIX "" SUFFIX .so LIBRARY_OUTPUT_DIRECTORY ${dir})
  # The host program has Lua; linking it again would make a second copy.
  if(APPLE)
    target_link_options(module-${tag} PRIVATE -undefined dynamic_lookup)
  else()
    # A symbol that nothing defines is an error at `require`, not later.
    target_link_options(module-${tag} PRIVATE -Wl,-z,now
      -Wl,-soname,${name}.so.${CASTING_ABI}
      -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/casting.map)
    set_target_properties(module-${tag} PROPERTIES
      LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/casting.map)
    target_link_libraries(module-${tag} PRIVATE ${CMAKE_DL_LIBS})
  endif()
  add_custom_command(TARGET module-${tag} POST_BUILD
    COMMAND ${CMAKE_COMMAND} -E create_symlink casting.so
      ${dir}/${name}.so.${CASTING_ABI}
    COMMAND ${CMAKE_COMMAND} -E create_symlink casting.so ${dir}/${name}.so)

  # Internals of an archive would clash with those of another version's. One
  # more object has a reference to Lua's libraries that is not weak.
  file(CONFIGURE OUTPUT ${dir}/wanted.c CONTENT "/* made by library.cmake */
extern char ${wanted}[];
extern const char *const cast_wanted;
const char *const cast_wanted = ${wanted};
")
  add_library(wanted-${tag} OBJECT EXCLUDE_FROM_ALL ${dir}/wanted.c)
  if(CMAKE_OBJCOPY AND CMAKE_LINKER AND NOT APPLE)
    add_custom_command(OUTPUT ${dir}/${name}.a
      COMMAND ${CMAKE_LINKER} -r -o ${dir}/${name}.o ${objects}
        $<TARGET_OBJECTS:wanted-${tag}>
      COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${dir}/${name}.o
      COMMAND ${CMAKE_COMMAND} -E rm -f ${dir}/${name}.a
      COMMAND ${CMAKE_AR} rcs ${dir}/${name}.a ${dir}/${name}.o
      COMMAND ${CMAKE_COMMAND} -E rm -f ${dir}/${name}.o
      DEPENDS binding-${tag} core wanted-${tag} ${objects}
      COMMAND_EXPAND_LISTS VERBATIM)
    add_custom_target(archive-${tag} ALL DEPENDS ${dir}/${name}.a)
    install(FILES ${dir}/${name}.a DESTINATION ${CASTING_LIBDIR}
      COMPONENT dev-${tag})
  else()
    add_custom_target(archive-${tag})
  endif()

  set(whole ${name}.so.${PROJECT_VERSION})
  install(FILES $<TARGET_FILE:module-${tag}> DESTINATION ${CASTING_LIBDIR}
    RENAME ${whole} COMPONENT ${tag})
  set(links ${dir}/links)
  file(MAKE_DIRECTORY ${links})
  file(CREATE_LINK ${whole} ${links}/${name}.so.${CASTING_ABI} SYMBOLIC)
  file(CREATE_LINK ${name}.so.${CASTING_ABI} ${links}/${name}.so SYMBOLIC)
  file(CREATE_LINK ../../${whole} ${links}/casting.so SYMBOLIC)
  install(FILES ${links}/${name}.so.${CASTING_ABI}
    DESTINATION ${CASTING_LIBDIR} COMPONENT ${tag})
  install(FILES ${links}/${name}.so DESTINATION ${CASTING_LIBDIR}
    COMPONENT dev-${tag})
  install(FILES ${links}/casting.so DESTINATION ${CASTING_LIBDIR}/lua/${v}
    COMPONENT ${tag})

  if(v STREQUAL "luajit")
    set(title LuaJIT)
  else()
    set(title "Lua ${v}")
  endif()
  set(pc casting-${v}.pc)
  set(rpath "")
  if(CASTING_RPATH)
    set(rpath " -Wl,-rpath,\${libdir}")
  endif()
  install(CODE "
    set(prefix \"\${CMAKE_INSTALL_PREFIX}\")
    set(CASTING_LIBDIR \"${CASTING_LIBDIR}\")
    set(suffix \"${v}\")
    set(libsuffix \"${libsuffix}\")
    set(title \"${title}\")
    set(rpath [[${rpath}]])
    set(wanted \"${wanted}\")
    set(version \"${PROJECT_VERSION}\")
    configure_file(\"${CMAKE_SOURCE_DIR}/cmake/casting.pc.in\"
      \"${dir}/${pc}\" @ONLY)" COMPONENT dev-${tag})
  install(FILES ${dir}/${pc} DESTINATION ${CASTING_LIBDIR}/pkgconfig
    COMPONENT dev-${tag})
endfunction()

find_library(CASTING_HIREDIS_LIB hiredis)
find_path(CASTING_HIREDIS_INCLUDE hiredis/hiredis.h)
# The examples in C: <tag>/host, a program; <tag>/parkmod.so, a module; and
# <tag>/redismod.so, another one, if hiredis is installed.
# casting_examples(tag version library-of-lua)
function(casting_examples tag v lua)
  if(v STREQUAL "luajit")
    set(name casting-luajit)
  else()
    set(name casting${v})
  endif()
  set(dir ${CMAKE_BINARY_DIR}/${tag})
  add_executable(host-${tag} EXCLUDE_FROM_ALL examples/c/host.c)
  set(modules parkmod)
  if(CASTING_HIREDIS_LIB AND CASTING_HIREDIS_INCLUDE)
    list(APPEND modules redismod)
  endif()
  set(targets host-${tag})
  foreach(module IN LISTS modules)
    add_library(${module}-${tag} MODULE EXCLUDE_FROM_ALL
      examples/c/${module}.c)
    set_target_properties(${module}-${tag} PROPERTIES OUTPUT_NAME ${module}
      PREFIX "" SUFFIX .so LIBRARY_OUTPUT_DIRECTORY ${dir})
    list(APPEND targets ${module}-${tag})
  endforeach()
  if(TARGET redismod-${tag})
    target_include_directories(redismod-${tag} SYSTEM PRIVATE
      ${CASTING_HIREDIS_INCLUDE})
    target_link_libraries(redismod-${tag} PRIVATE ${CASTING_HIREDIS_LIB})
  endif()
  foreach(target IN LISTS targets)
    target_include_directories(${target} SYSTEM PRIVATE ${${tag}_include})
    target_compile_definitions(${target} PRIVATE "_GNU_SOURCE=")
    target_compile_options(${target} PRIVATE -Wpedantic -Wconversion)
    target_link_directories(${target} PRIVATE ${dir})
    target_link_libraries(${target} PRIVATE ${name})
    set_target_properties(${target} PROPERTIES BUILD_RPATH "$ORIGIN")
    add_dependencies(${target} module-${tag})
  endforeach()
  target_link_libraries(host-${tag} PRIVATE ${lua} m)
  casting_wanted(${v} wanted)
  target_link_options(host-${tag} PRIVATE LINKER:-u,${wanted})
  # Where Lua is an archive, the program has it for the modules that it loads.
  set_target_properties(host-${tag} PROPERTIES OUTPUT_NAME host
    ENABLE_EXPORTS ON RUNTIME_OUTPUT_DIRECTORY ${dir})
endfunction()
