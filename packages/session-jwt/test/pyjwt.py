"""Signs and verifies by PyJWT: a JSON request a line, a JSON answer a line."""

import json
import sys

import jwt
from jwt.algorithms import HMACAlgorithm


class AnyKey(HMACAlgorithm):
    """HMAC with what PyJWT refuses as a secret: somebody's public key."""

    def prepare_key(self, key):
        return key.encode()


def sign(request):
    signer = jwt.PyJWS()
    header = request["header"]
    if header["alg"].startswith("HS"):
        signer.unregister_algorithm(header["alg"])
        signer.register_algorithm(header["alg"], AnyKey(HMACAlgorithm.SHA256))
    return signer.encode(
        request["payload"].encode(), request["key"], algorithm=header["alg"], headers=header
    )


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
