-- launcher_help.lua - what `casting help` says.
-- SPDX-License-Identifier: MIT

return [[
usage: casting [OPTIONS] FILE [ARGS]    runs FILE as a task of the main program
       casting -i                       a prompt, while which tasks run
       casting help                     this text

A word without a dot or slash that is a command, such as help, is one; all else
is a file, - the standard input. Without a FILE there is a prompt if somebody
types, else the standard input is run.

  -e, --eval CODE    runs CODE first; `casting` is the module there
  -l NAME            requires the module NAME, as a global; or GLOBAL=NAME
  -i, --interactive  a prompt at the end
  --threads MAX      at most so many threads run sessions; or MIN,MAX
  --lua LUA          the interpreter: 5.4, luajit, or a program; also by the
                     environment's CASTING_LUA
  --watch[=PATH]     runs FILE again when it has changed, or a .lua file in its
                     directory or below; or what PATH names; may be repeated
  -v, --version      what versions these are
  -E, -W             as the interpreter has them
  --                 no more options
]]
