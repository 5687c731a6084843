"""aiosmtpd as a submission server: TLS at once or STARTTLS, AUTH PLAIN and LOGIN. Prints a line for each mail taken."""
import json
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and data == LoginPassword(b"anna", sys.argv[4].encode())
    return AuthResult(success=good, handled=False)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "data": envelope.content.decode()}), flush=True)
        return "250 2.0.0 Ok: taken"


def main():
    tls_port, starttls_port, certificate = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    common = dict(hostname="127.0.0.1", authenticator=authenticate, auth_required=True, enable_SMTPUTF8=True)
    Controller(Handler(), port=tls_port, ssl_context=context, auth_require_tls=False, **common).start()
    Controller(Handler(), port=starttls_port, tls_context=context, require_starttls=True, **common).start()
    print("ready", flush=True)
    while True:
        time.sleep(60)


main()
