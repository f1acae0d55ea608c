"""The shared corpus: every readable document parses, every hostile one ends as its manifest says."""

from __future__ import annotations

import csv
import os
import re
import time
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from chatai_assets.adapters.ocr.tesseract import Tesseract
from chatai_assets.adapters.parsers.limits import OcrLimits
from chatai_assets.adapters.sandbox.pool import ParserPool
from chatai_assets.domain.documents import ParsedDocument
from chatai_assets.domain.errors import UnreadableDocument
from chatai_assets.pipeline.document_reader import DocumentReader, Upload
from chatai_assets.storage.engine import open_records

CORPUS = Path(os.environ.get("CHATAI_CORPUS", "/nonexistent"))
pytestmark = [
    pytest.mark.scenario,
    pytest.mark.one_worker,
    pytest.mark.corpus,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="CHATAI_CORPUS is not set"),
]
READABLE = frozenset({".pdf", ".docx", ".txt", ".md", ".html", ".csv", ".xlsx"})
WITHOUT_TEXT = {
    "python-mammoth__empty.docx": "no_text",
    "python-mammoth__tiny-picture-target-base-relative.docx": "no_text",
    "sample-files__grayscale-image.pdf": "no_text_layer",
    "sample-files__imagemagick-ASCII85Decode.pdf": "no_text_layer",
}
# What the notes of the manifest say of hostile files; None: it parses. The others may end as any fault.
HOSTILE = {
    "billion_laughs.docx": "forbidden_xml",
    "xxe_local_file.docx": "forbidden_xml",
    "deep_nesting_20000.docx": "corrupt",
    "docx_named.pdf": None,
    "pdf_named.docx": None,
    "empty.docx": "empty_file",
    "empty.pdf": "empty_file",
    "empty.txt": "empty_file",
    "flate_bomb_100MB.pdf": "archive_bomb",
    "zipbomb_60MB_document.docx": "archive_bomb",
    "formula_injection.csv": None,
    "huge_count.pdf": "no_text_layer",
    "mixed_encodings.txt": None,
    "nested_zip_6_levels.zip": "unsupported_type",
    "not_a_docx.docx": "corrupt",
    "nul_bytes.txt": None,
    "one_line_2MB.txt": None,
    "page_tree_dag_10e5.pdf": "too_many_pages",
    "path_traversal_entry.docx": None,
    "docling__docx_external_image.docx": None,
    "pypdf__r3-empty-password.pdf": None,
    "pypdf__r6-empty-password.pdf": None,
    "pypdf__r3-user-password.pdf": "encrypted",
    "pypdf__r4-aes-user-password.pdf": "encrypted",
    "unstructured__password.pdf": "encrypted",
    "sample-files__libreoffice-writer-password.pdf": "encrypted",
    "truncated_half.docx": "corrupt",
    "truncated_half.pdf": "corrupt",
    "unstructured__failure-after-repair.pdf": None,
    "unstructured__handbook-872p.docx": None,
    "zero_pages.pdf": "no_text",
    "zip_without_document_xml.docx": "corrupt",
    "Отчёт №5 (финал) «копия» 🚀.txt": None,
}
MUST_PARSE = re.compile(r"observed:(?: encrypted, opens with empty password;)? parses: \d+ pages, [1-9]\d* chars")


def outcomes(folder: str) -> dict[str, ParsedDocument | UnreadableDocument]:
    paths = sorted(path for path in (CORPUS / folder).iterdir() if not path.name.endswith(".expected.md"))
    results: dict[str, ParsedDocument | UnreadableDocument] = {}
    with ParserPool(2) as pool:
        for path, outcome in zip(
            paths, pool.run_all(partial(pool.parse, path, path.name) for path in paths), strict=True
        ):
            assert isinstance(outcome, ParsedDocument | UnreadableDocument), path.name
            results[path.name] = outcome
    return results


@pytest.fixture(scope="module")
def documents() -> dict[str, ParsedDocument | UnreadableDocument]:
    return outcomes("documents")


def text_of(documents: dict[str, ParsedDocument | UnreadableDocument], name: str) -> str:
    parsed = documents[name]
    assert isinstance(parsed, ParsedDocument), f"{name}: {parsed}"
    return parsed.text


def test_every_readable_document_parses(documents: dict[str, ParsedDocument | UnreadableDocument]) -> None:
    for name, outcome in documents.items():
        if isinstance(outcome, ParsedDocument):
            assert Path(name).suffix in READABLE
            assert all(outcome.text.startswith(section.title, section.start) for section in outcome.sections), name
        else:
            expected = WITHOUT_TEXT.get(name, "unsupported_type")
            assert outcome.reason == expected, name
            assert Path(name).suffix not in READABLE or name in WITHOUT_TEXT, name


@pytest.mark.parametrize(
    ("encoded", "original", "encoding"),
    [
        ("derived__postanovlenie.koi8-r.txt", "dedoc__постановление.txt", "koi8-r"),
        ("derived__ukaz.utf16-bom.txt", "dedoc__указ.txt", "utf-16"),
        ("derived__zakon.cp866.txt", "dedoc__закон.txt", "cp866"),
        ("dedoc__cp1251.txt", "dedoc__utf8.txt", "cp1251"),
        ("charset_normalizer__sample-russian.txt", "charset_normalizer__sample-russian-2.txt", "mac-cyrillic"),
        ("dedoc__example_koi.html", "dedoc__example_cp1251.html", "koi8-r"),
    ],
)
def test_an_encoded_file_reads_as_its_twin(
    documents: dict[str, ParsedDocument | UnreadableDocument], encoded: str, original: str, encoding: str
) -> None:
    """The derived files hold ``?`` for signs that their encoding lacks."""
    assert text_of(documents, encoded) == text_of(documents, original).encode(encoding, "replace").decode(encoding)


def tokens(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", re.sub(r"<!--.*?-->|<[^>]+>|&\w+;", "", text.replace("\\_", "_")).lower()))


# Lower where docling writes what we leave out on purpose: list numbers, formulas, pictures of charts, link targets.
LOWER_RECALL = {
    "docling__docx_list_blank_spacer.docx": 0.75,
    "docling__docx_lists.docx": 0.9,
    "docling__formatting.html": 0.9,
    "docling__hyperlink_02.html": 0.3,
    "docling__table_with_equations.docx": 0.45,
    "docling__word_sample.docx": 0.95,
    "docling__xlsx_03_chartsheet.xlsx": 0.55,
}


def test_nothing_of_the_ground_truth_is_lost(documents: dict[str, ParsedDocument | UnreadableDocument]) -> None:
    truths = {path.name.removesuffix(".expected.md"): path for path in (CORPUS / "documents").glob("*.expected.md")}
    truths |= {f"{path.stem}.pdf": path for path in (CORPUS / "documents").glob("markitdown__*.md")}
    truths["pypdf__crazyones.pdf"] = CORPUS / "documents" / "pypdf__crazyones.txt"
    for name, path in truths.items():
        outcome = documents[name]
        if isinstance(outcome, ParsedDocument):
            truth = tokens(path.read_text(encoding="utf-8"))
            recall = (tokens(outcome.text) & truth).total() / max(1, truth.total())
            assert recall >= LOWER_RECALL.get(name, 0.999), f"{name}: {recall:.3f}"


def test_pictures_add_nothing_to_the_text(documents: dict[str, ParsedDocument | UnreadableDocument]) -> None:
    assert len(text_of(documents, "docling__test_emf_docx.docx")) < 200


def test_every_hostile_file_ends_as_its_manifest_says() -> None:
    with (CORPUS / "MANIFEST.tsv").open(encoding="utf-8", newline="") as stream:
        manifest = {row["path"]: row["expected_outcome"] for row in csv.DictReader(stream, delimiter="\t")}
    started = time.monotonic()
    results = outcomes("hostile")
    assert len(results) == 56
    assert time.monotonic() - started < 120
    for name, outcome in results.items():
        code = None if isinstance(outcome, ParsedDocument) else outcome.reason
        if name in HOSTILE:
            assert code == HOSTILE[name], f"{name}: {outcome}"
        elif MUST_PARSE.search(manifest[f"hostile/{name}"]):
            assert code is None, f"{name}: {outcome}"


def test_the_scans_of_the_corpus_contain_no_text(tmp_path: Path, tesseract: Tesseract) -> None:
    """One is a drawing of a boy, the other has sixteen points across: with tesseract they are dead letters as well."""
    scans = [CORPUS / "documents" / name for name, code in WITHOUT_TEXT.items() if code == "no_text_layer"]
    records = open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")
    with closing(records), ParserPool(2) as pool:
        reader = DocumentReader(pool, records, OcrLimits())
        ends = list(reader.read_many(Upload(path, path.name, "default") for path in scans))
    codes = [end.reason if isinstance(end, UnreadableDocument) else end for end in ends]
    assert codes == ["no_text_recognised"] * 2
