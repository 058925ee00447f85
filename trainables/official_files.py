"""Published files by their sha256, and the revision of the hub that they are taken from.

Authors publish no list of hashes. Each hash here was recorded by public repositories that fetched
the file from the authors' place; for Geneformer they name the revision. Several agree on each,
except for `gene_name_id_dict_gc30M.pkl` and scBERT's `panglao_pretrain.pth`, which one has.
A file with another hash may be right: people fine-tune. `gauntlet models check` only says so.
"""

from __future__ import annotations

GENEFORMER_REVISION = "04c2b2e84da7c0f385c3f9ad8f3ec24bab6650e5"
"""Commit of huggingface.co/ctheodoris/Geneformer, which the sources of these hashes name."""
V2_DICTIONARIES = {
    "token_dictionary_gc104M.pkl": (
        "67c445f4385127adfc48dcc072320cd65d6822829bf27dd38070e6e787bc597f"
    ),
    "gene_median_dictionary_gc104M.pkl": (
        "a51c53f6a771d64508dfaf61529df70e394c53bd20856926117ae5d641a24bf5"
    ),
    "gene_name_id_dict_gc104M.pkl": (
        "fabfa0c2f49c598c59ae432a32c3499a5908c033756c663b5e0cddf58deea8e1"
    ),
    "ensembl_mapping_dict_gc104M.pkl": (
        "0819bcbd869cfa14279449b037eb9ed1d09a91310e77bd1a19d927465030e95c"
    ),
}
OFFICIAL: dict[tuple[str, str], dict[str, str]] = {
    ("geneformer", "v1-10m"): {
        "config.json": "9cf69ca3bdb0215c4188b54c451b6f02adfe68b8f66011a57d0f32845133fd4b",
        "model.safetensors": "a5e33a757431643b3697de7ef6127950cdc49e06e58d4266b3a3ab191b683f14",
        "token_dictionary_gc30M.pkl": (
            "ab9dc40973fa5224d77b793e2fd114cacf3d08423ed9c4c49caf0ba9c7f218f1"
        ),
        "gene_median_dictionary_gc30M.pkl": (
            "b3b589bb5ec75040d05fc44dd6bf0184cf87f3c362cf158d196a6ed3b7fe5f39"
        ),
        "gene_name_id_dict_gc30M.pkl": (
            "55e67962e79c0039a6c32d43c5c99f38e51964bbcfa32f736150ee1e285c438c"
        ),
        "ensembl_mapping_dict_gc30M.pkl": (
            "eac0fb0b3007267871b6305ac0003ceba19d4f28d85686cb9067ecf142787869"
        ),
    },
    ("geneformer", "v2-104m"): {
        "config.json": "467d4492f0dd53b4d60afffe20812db484ca1cf9fdbeb6a6e060e93564f70859",
        "model.safetensors": "fff5cba29ddd8792991fa77b4872246fbe548a178cebda3775cdc72b67780e7f",
        **V2_DICTIONARIES,
    },
    ("geneformer", "v2-316m"): {
        "config.json": "2cc4af3442644e84af71814a607b61c958d7b4e5ebde6791ab77b5f534ac6f6e",
        "model.safetensors": "965ceccea81953d362081ef3843560a0e4fef88d396c28017881f1e94b1246f3",
        **V2_DICTIONARIES,
    },
    ("scgpt", "human"): {
        "best_model.pt": "6cb5d451ab5c4b33eb673adbe4fddc61d2389df1b89b7651a9fe2e557572b922",
        "args.json": "c18e075e018140cb8b2d9029387b9de26607a5ce6a8ccabd6ead70cd76b95d60",
        "vocab.json": "acca93d114ca62c3f0f50debbd23e8c87f0714f4737764454f6b2b13f2e8580f",
    },
    ("scbert", "panglao"): {
        "panglao_pretrain.pth": "aa27109136580b24a1b985f63d0ba31f22490d09e71b13d1793cbff38619dfe3",
    },
    ("scfoundation", "01b-resolution"): {
        "models.ckpt": "9f40bf324d3d0084c4b288d06f5af4fddd12206e2a3f022551d12e89e33a0ea9",
    },
}
"""sha256 of files by model and variant; gene2vec, scGPT's other variants, SCimilarity and
GeneCompass have none that could be traced."""


def verdict(model: str, variant: str, name: str, sha256: str) -> str:
    """Whether a file is the official one, in words; "" where its hash is unknown.

    >>> verdict("scgpt", "human", "args.json", "0" * 64)
    'not the official file, whose sha256 begins with c18e075e0181: another version or fine-tuned'
    """
    official = OFFICIAL.get((model, variant), {}).get(name)
    if official is None:
        return ""
    if official == sha256:
        return "the official file"
    return (
        f"not the official file, whose sha256 begins with {official[:12]}: another version or"
        " fine-tuned"
    )
