"""Gets a certificate from an ACME server by tls-alpn-01 challenges that another program answers.

    acme_client.py DIRECTORY_URL CA_FILE TOKENS_DIR CHAIN_FILE KEY_FILE IDENTIFIER...

Puts each key authorization into TOKENS_DIR/IDENTIFIER and takes it away again. Needs python3-acme.
"""

import contextlib
import datetime
import ipaddress
import os
import sys

from acme import challenges, client, crypto_util, errors, messages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
import josepy

LIMIT = datetime.timedelta(seconds=60)


def write_file(path, text):
    """Appears at once, as a whole."""
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(text)
    os.rename(path + ".new", path)


def new_key_pem():
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def parse_address(identifier):
    try:
        return ipaddress.ip_address(identifier)
    except ValueError:
        return None


def new_client(directory_url, ca_file):
    key = josepy.JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    network = client.ClientNetwork(key, verify_ssl=ca_file)
    server = client.ClientV2(client.ClientV2.get_directory(directory_url, network), network)
    server.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
    return server, key


def answer_challenges(server, key, order, tokens_dir, tokens):
    for authorization in order.authorizations:
        path = os.path.join(tokens_dir, authorization.body.identifier.value)
        challenge = next(c for c in authorization.body.challenges
                         if isinstance(c.chall, challenges.TLSALPN01))
        write_file(path, challenge.chall.key_authorization(key))
        tokens.callback(os.remove, path)
        server.answer_challenge(challenge, challenge.chall.response(key))


def main(directory_url, ca_file, tokens_dir, chain_file, key_file, *identifiers):
    server, key = new_client(directory_url, ca_file)
    addresses = [address for address in map(parse_address, identifiers) if address is not None]
    names = [name for name in identifiers if parse_address(name) is None]
    key_pem = new_key_pem()
    order = server.new_order(crypto_util.make_csr(key_pem, names, ipaddrs=addresses))
    with contextlib.ExitStack() as tokens:
        answer_challenges(server, key, order, tokens_dir, tokens)
        try:
            order = server.poll_and_finalize(order, datetime.datetime.now() + LIMIT)
        except errors.ValidationError as error:
            for authorization in error.failed_authzrs:
                for challenge in authorization.body.challenges:
                    print(authorization.body.identifier.value, challenge.error, file=sys.stderr)
            return 1
    write_file(key_file, key_pem.decode())
    write_file(chain_file, order.fullchain_pem)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
