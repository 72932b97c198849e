"""Signs and verifies by PyJWT: a JSON request a line, a JSON answer a line."""

import json
import sys

import jwt
from jwt.algorithms import HMACAlgorithm
from jwt.utils import base64url_encode


class AnyKey(HMACAlgorithm):
    """HMAC with what PyJWT refuses as a secret: somebody's public key."""

    def prepare_key(self, key):
        return key.encode()


class AnyHeader(jwt.PyJWS):
    """Signs a header that PyJWT refuses: a kid of another type."""

    def _validate_headers(self, headers, **options):
        pass


def sign(request):
    signer = AnyHeader()
    # PyJWT writes typ: JWT where none is asked for.
    header = {"typ": None, **request["header"]}
    alg = header["alg"]
    if alg.startswith("HS"):
        signer.unregister_algorithm(alg)
        signer.register_algorithm(alg, AnyKey(getattr(HMACAlgorithm, f"SHA{alg[2:]}")))
    payload = base64url_encode(request["payload"].encode())
    is_raw = header.get("b64") is False
    token = signer.encode(
        payload if is_raw else request["payload"].encode(),
        None if alg == "none" else request["key"],
        algorithm=alg,
        headers=header,
    )
    head, _, signature = token.split(".")
    return f"{head}.{payload.decode()}.{signature}"


def verify(request):
    return jwt.decode(
        request["token"],
        request["key"],
        algorithms=[request["alg"]],
        issuer=request["issuer"],
        audience=request["issuer"],
        options={"require": ["exp", "iat", "iss", "aud"]},
    )


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"answer": {"sign": sign, "verify": verify}[request["do"]](request)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
