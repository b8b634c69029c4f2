"""ML-KEM and ML-DSA of `cryptography`, which are OpenSSL's."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem

from crypto.providers import Classes

SCHEMES: Final = {
    "ml-kem-768": Classes(mlkem.MLKEM768PrivateKey, mlkem.MLKEM768PublicKey),
    "ml-kem-1024": Classes(mlkem.MLKEM1024PrivateKey, mlkem.MLKEM1024PublicKey),
    "ml-dsa-44": Classes(mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey),
    "ml-dsa-65": Classes(mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey),
    "ml-dsa-87": Classes(mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey),
}
