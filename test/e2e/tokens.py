"""Makes JWTs and JWKS without any library of ours: hmac of Python, RSA and ECDSA by the openssl command."""
import base64
import hashlib
import hmac
import json
import subprocess
import time

SECRET = "a shared secret of more than 32 bytes!"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


def raw_ecdsa(der):
    """SEQUENCE of two INTEGERs → r and s, 32 bytes each."""
    def integer(at):
        assert der[at] == 2
        size = der[at + 1]
        return int.from_bytes(der[at + 2:at + 2 + size], "big"), at + 2 + size
    r, at = integer(2)
    s, _ = integer(at)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class Signer:
    """One key; token(**claims) signs. `jwk` is its public half, for keys_file."""

    def __init__(self, folder, algorithm="HS256", kid=None, secret=SECRET, bits=2048):
        self.algorithm, self.kid, self.secret = algorithm, kid, secret
        self.file = folder / f"{algorithm}-{kid}-{time.monotonic_ns()}.pem"
        if algorithm == "RS256":
            openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", self.file)
        if algorithm == "ES256":
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.file)

    @property
    def jwk(self):
        named = {"kid": self.kid} if self.kid else {}
        if self.algorithm == "HS256":
            return {"kty": "oct", "k": b64(self.secret.encode()), **named}
        if self.algorithm == "RS256":
            modulus = openssl("rsa", "-in", self.file, "-noout", "-modulus").decode().strip().removeprefix("Modulus=")
            return {"kty": "RSA", "n": b64(bytes.fromhex(modulus)), "e": "AQAB", "use": "sig", "alg": "RS256", **named}
        point = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")[-64:]
        return {"kty": "EC", "crv": "P-256", "x": b64(point[:32]), "y": b64(point[32:]), **named}

    def public_pem(self):
        return openssl("pkey", "-in", self.file, "-pubout").decode()

    def sign(self, text):
        if self.algorithm == "HS256":
            return hmac.new(self.secret.encode(), text, hashlib.sha256).digest()
        signature = openssl("dgst", "-sha256", "-sign", self.file, data=text)
        return raw_ecdsa(signature) if self.algorithm == "ES256" else signature

    def token(self, lasts=60, header=None, **claims):
        """Valid for `lasts` seconds from now; None = no exp."""
        named = {"kid": self.kid} if self.kid else {}
        head = {"alg": self.algorithm, "typ": "JWT", **named, **(header or {})}
        if lasts is not None:
            claims = {"exp": time.time() + lasts, **claims}
        text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
        return f"{text}.{b64(self.sign(text.encode()))}"


def jwks(*signers):
    return json.dumps({"keys": [signer.jwk for signer in signers]})
