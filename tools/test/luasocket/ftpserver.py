# ftpserver.py - an FTP server (pyftpdlib), as LuaSocket's tests expect one.
# SPDX-License-Identifier: MIT
#
#   ftpserver.py PORT HOME-OF-LUASOCKET HOME-OF-FTP

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

port, home, public = int(sys.argv[1]), sys.argv[2], sys.argv[3]
authorizer = DummyAuthorizer()
authorizer.add_user("luasocket", "password", home, perm="elradfmw")
# Who gives no name to socket.ftp is called this.
authorizer.add_user("ftp", "anonymous@anonymous.org", public)
FTPHandler.authorizer = authorizer
FTPHandler.auth_failed_timeout = 0
FTPServer(("127.0.0.1", port), FTPHandler).serve_forever()
