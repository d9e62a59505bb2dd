# Writes the Lua files of the library into a C file, one array for each:
#   cmake -DOUT=file.c "-DFILES=a.lua;b.lua" -P embed.cmake
# src/lua/embed.c has what declares them. No other tool is needed, so that it
# works wherever CMake does.
set(arrays "")
set(entries "")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  # Lines of 16 bytes: some compilers limit the length of a line.
  string(REGEX REPLACE
    "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)"
    "\\1\n" bytes "${bytes}")
  string(APPEND arrays
    "static const unsigned char ${name}[] = {\n${bytes}0};\n\n")
  string(APPEND entries "  {\"${name}\", ${name}, sizeof ${name} - 1},\n")
endforeach()
file(WRITE ${OUT}.new "/* Made from lua/casting/*.lua; do not edit. */
#include \"embed.h\"

${arrays}const cast_embedded cast_embedded_files[] = {
${entries}  {NULL, NULL, 0},
};
")
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different ${OUT}.new ${OUT})
