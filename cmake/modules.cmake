# The optional modules: what needs a library that casting itself does not need.
# Each has a folder under modules/, with its own tests, and is built where its
# library is. Included by CMakeLists.txt.
#
#   build    <tag>/casting/NAME.lua, and <tag>/casting/NAME/core.so
#   install  share/lua/<v>/casting/NAME.lua, LIBDIR/lua/<v>/casting/NAME/core.so
#   other files in Lua lie in folders casting/NAME, beside these
#            (of LuaJIT <v> is 5.1 in the former, and a file chooses the latter)
#
# The part in C is not linked with casting: modules/import.c, which is a part of
# it, takes the functions of casting.h out of the Lua state.

# -DCASTING_MODULES=...: which to build; those without their library are left
# out.
if(NOT DEFINED CASTING_MODULES)
  set(CASTING_MODULES tls http)
endif()
find_package(PkgConfig QUIET)

# casting_module(NAME TITLE HEADER CALL pkg-config-name ...): sets module_NAME if
# it can be built; else notes what is missing. The library that is found may be
# that of another system or C library: so a call of it is compiled, and linked.
include(CheckCSourceCompiles)
set(modules_left "")
set(modules_built "")
function(casting_module name library header call)
  set(module_${name} OFF PARENT_SCOPE)
  if(NOT name IN_LIST CASTING_MODULES)
    return()
  endif()
  if(PkgConfig_FOUND)
    pkg_check_modules(LIB_${name} QUIET IMPORTED_TARGET ${ARGN})
  endif()
  if(LIB_${name}_FOUND)
    set(CMAKE_REQUIRED_LIBRARIES PkgConfig::LIB_${name})
    check_c_source_compiles("#include <${header}>
int main(void) { ${call}; return 0; }" CASTING_HAS_${name})
  endif()
  if(NOT LIB_${name}_FOUND OR NOT CASTING_HAS_${name})
    set(modules_left "${modules_left}casting.${name} (${library})\n"
      PARENT_SCOPE)
    return()
  endif()
  set(module_${name} ON PARENT_SCOPE)
  set(modules_built "${modules_built}${name}\n" PARENT_SCOPE)
  file(GLOB sources CONFIGURE_DEPENDS modules/${name}/*.c)
  foreach(tag IN LISTS tags)
    if(NOT TARGET module-${tag})
      continue()
    endif()
    set(v ${${tag}_version})
    set(dir ${CMAKE_BINARY_DIR}/${tag})
    set(target ${name}-${tag})
    add_library(${target} MODULE ${sources} modules/import.c)
    casting_unwinds(${target} ${tag})
    target_include_directories(${target} SYSTEM PRIVATE ${${tag}_include})
    target_link_libraries(${target} PRIVATE PkgConfig::LIB_${name})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME core PREFIX ""
      SUFFIX .so LIBRARY_OUTPUT_DIRECTORY ${dir}/casting/${name}
      SKIP_BUILD_RPATH ON)
    if(APPLE)
      target_link_options(${target} PRIVATE -undefined dynamic_lookup)
    else()
      target_link_options(${target} PRIVATE -Wl,-z,now -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/module.map)
    endif()
    add_dependencies(${target} module-${tag})
    file(GLOB parts CONFIGURE_DEPENDS modules/${name}/*.lua)
    list(REMOVE_ITEM parts ${CMAKE_SOURCE_DIR}/modules/${name}/${name}.lua)
    configure_file(modules/${name}/${name}.lua ${dir}/casting/${name}.lua
      COPYONLY)
    foreach(part IN LISTS parts)
      get_filename_component(file ${part} NAME)
      configure_file(${part} ${dir}/casting/${name}/${file} COPYONLY)
    endforeach()
    install(FILES $<TARGET_FILE:${target}>
      DESTINATION ${CASTING_LIBDIR}/lua/${v}/casting/${name}
      COMPONENT ${name})
    if(v STREQUAL "luajit")
      set(v 5.1)
    endif()
    install(FILES modules/${name}/${name}.lua
      DESTINATION share/lua/${v}/casting COMPONENT ${name})
    install(FILES ${parts} DESTINATION share/lua/${v}/casting/${name}
      COMPONENT ${name})
  endforeach()
  # Lua 5.1 and LuaJIT look in the same directories.
  if("lua5.1" IN_LIST tags OR "luajit" IN_LIST tags)
    install(CODE "
      set(prefix \"\${CMAKE_INSTALL_PREFIX}\")
      set(libdir \"${CASTING_LIBDIR}\")
      set(module ${name})
      configure_file(\"${CMAKE_SOURCE_DIR}/cmake/select_core.lua.in\"
        \"${CMAKE_BINARY_DIR}/select/${name}_core.lua\" @ONLY)"
      COMPONENT ${name})
    install(FILES ${CMAKE_BINARY_DIR}/select/${name}_core.lua
      DESTINATION share/lua/5.1/casting/${name} RENAME core.lua
      COMPONENT ${name})
  endif()
endfunction()

casting_module(tls "OpenSSL 3" openssl/ssl.h
  "SSL_CTX_free(SSL_CTX_new(TLS_method()))" openssl>=3)
casting_module(http "zlib" zlib.h "(void)zlibVersion()" zlib)
file(WRITE ${CMAKE_BINARY_DIR}/modules "${modules_built}")
file(WRITE ${CMAKE_BINARY_DIR}/modules-left "${modules_left}")
