"""Reads the bodies of a corpus as Django or as Flask (Werkzeug).

Usage: python_parsers.py django|flask CORPUS. A record of the corpus is two big-endian lengths of 32 bits, a
Content-Type (empty: none) and a body. A line of output per record: the names and values that an application
would get, in hexadecimal; "-" where it would get none.
"""
import io
import json
import struct
import sys


def flatten(value, found):
    if isinstance(value, dict):
        for key, inner in value.items():
            found.append(str(key))
            flatten(inner, found)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            flatten(inner, found)
    else:
        found.append(str(value))


def environ(content_type, body):
    result = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "SERVER_NAME": "app.test",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "CONTENT_LENGTH": str(len(body)),
    }
    if content_type:
        result["CONTENT_TYPE"] = content_type.decode("latin-1")
    return result


def add_form(fields, files, found):
    for name, values in fields.lists():
        found.append(str(name))
        found.extend(str(value) for value in values)
    for name, uploads in files.lists():
        found.append(str(name))
        for upload in uploads:
            found.append(str(getattr(upload, "filename", None) or getattr(upload, "name", "")))


def django_reader():
    from django.conf import settings
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATA_UPLOAD_MAX_NUMBER_FIELDS=None,
        FILE_UPLOAD_HANDLERS=["django.core.files.uploadhandler.MemoryFileUploadHandler"])
    from django.core.handlers.wsgi import WSGIRequest

    def read(content_type, body, found):
        request = WSGIRequest(environ(content_type, body))
        add_form(request.POST, request.FILES, found)
        if b"json" in content_type:
            flatten(json.loads(body), found)

    return read


def flask_reader():
    from flask import Request

    def read(content_type, body, found):
        request = Request(environ(content_type, body))
        add_form(request.form, request.files, found)
        if request.is_json:
            flatten(Request(environ(content_type, body)).get_json(), found)

    return read


def main():
    read = {"django": django_reader, "flask": flask_reader}[sys.argv[1]]()
    corpus = open(sys.argv[2], "rb").read()
    at = 0
    while at < len(corpus):
        type_bytes, body_bytes = struct.unpack_from(">II", corpus, at)
        content_type = corpus[at + 8:at + 8 + type_bytes]
        at += 8 + type_bytes + body_bytes
        found = []
        try:
            read(content_type, corpus[at - body_bytes:at], found)
        except Exception:  # The application responds with an error.
            found = []
        text = "\0".join(found).encode("utf-8", "replace").hex()
        print(text or "-")


main()
