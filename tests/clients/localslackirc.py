"""localslackirc as Debian packages it, unmodified but for the base URL, which is written in its code.

From the environment: PARLEY_API (ends in a slash), and what localslackirc reads: TOKEN, PORT, AUTOJOIN, STATUS_FILE."""

import os
import sys

sys.path.insert(0, "/usr/share/localslackirc")

from slackclient import client  # noqa: E402

request = client.Request
client.Request = lambda _slack: request(os.environ["PARLEY_API"])

from irc import main  # noqa: E402

main()
