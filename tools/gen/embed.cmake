# embed.cmake - the files of lualib/casting as data in C: embedded.h.
# SPDX-License-Identifier: MIT
#
#   cmake -DOUTPUT=DIR/embedded.h [-DINPUT=FOLDER] -P tools/gen/embed.cmake
#
# src/lua/lib/embed.c includes what this writes; FOLDER is lualib/casting unless
# another is given. Where there is CMake, nothing else is needed. LuaRocks
# builds without CMake, and has Lua: for it embed.lua writes the same file, to
# the byte (tools/test/embed.sh compares them). Change both.
cmake_minimum_required(VERSION 3.16)
if(NOT INPUT)
  get_filename_component(INPUT ${CMAKE_CURRENT_LIST_DIR}/../../lualib/casting
    ABSOLUTE)
endif()
file(GLOB files ${INPUT}/*.lua) # in the order of their names
if(NOT files OR NOT OUTPUT)
  message(FATAL_ERROR "embed.cmake: OUTPUT is not set, or no file in ${INPUT}")
endif()

set(out "/* embedded.h - the files of lualib/casting, made by tools/gen/embed.cmake
   or embed.lua. SPDX-License-Identifier: MIT */
")
set(list "")
foreach(file IN LISTS files)
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(REGEX REPLACE "\n$" "" text "${text}")
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "?" "\\?" text "${text}") # no trigraphs
  string(REPLACE "\n" "\\n\",\n  \"" text "${text}")
  string(APPEND out "\nstatic const char *const ${name}_lua[] = {\n"
    "  \"${text}\\n\",\n  NULL,\n};\n")
  string(APPEND list "  {\"${name}\", ${name}_lua},\n")
endforeach()
string(APPEND out "\nstatic const cast_embedded cast_embedded_files[] = {\n"
  "${list}  {NULL, NULL},\n};\n")

# Complete, or not there.
file(WRITE ${OUTPUT}.new "${out}")
file(RENAME ${OUTPUT}.new ${OUTPUT})
