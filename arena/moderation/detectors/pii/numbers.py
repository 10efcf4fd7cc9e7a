"""Bank accounts, cards and national identity numbers: by checksum where there is one, through python-stdnum.

A form that other numbers share counts only behind a word that names it.
"""

import re
from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple

import stdnum.iban

from arena.moderation.detectors.pii.normal import NO_LETTER_AFTER, NO_LETTER_BEFORE, Found, cued

EDGE, REST = (
    r"(?<![A-Za-z0-9_.+\-/])",
    r"(?![A-Za-z0-9_]|[.,\-/][A-Za-z0-9_])",
)  # a number stands alone: no part of a word, a fraction or a longer one
IBAN = re.compile(EDGE + r"[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?)" + REST)
CARD = re.compile(
    EDGE
    + r"(?:\d{14,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5})"
    + r"(?![A-Za-z0-9_]|[.,\-/]\w| \d{4}\b)"
)
ISSUERS = re.compile(
    r"4(?:\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)


class Id(NamedTuple):
    """A national number: its form, the module of python-stdnum that checks it ("" for none), and the words it needs before it."""

    form: re.Pattern[str]
    check: str = ""
    cues: re.Pattern[str] | None = None


def _id(form: str, check: str = "", cues: str = "") -> Id:
    words = re.compile(f"{NO_LETTER_BEFORE}(?:{cues}){NO_LETTER_AFTER}", re.IGNORECASE) if cues else None
    return Id(re.compile(f"{EDGE}(?:{form}){REST}"), check, words)


IDS = (
    _id(r"\d{3}-\d{2}-\d{4}", "us.ssn"),
    _id(r"\d{9}", "us.ssn", r"ssn|social security(?: number| no\.?)?"),
    _id(r"9\d{2}-\d{2}-\d{4}", "us.itin"),
    _id(r"\d{3}[ -]\d{3}[ -]\d{3}|\d{9}", "ca.sin", r"sin|social insurance(?: number)?|nas"),
    _id(r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z\d]\d", "mx.curp"),
    _id(r"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf"),
    _id(r"\d{11}", "br.cpf", "cpf"),
    _id(r"\d{1,2}\.?\d{3}\.?\d{3}", "ar.dni", r"dni|documento(?: nacional)?(?: de identidad)?"),
    _id(r"\d{1,2}\.\d{3}\.\d{3}-[\dkK]", "cl.rut"),
    _id(r"\d{7,8}-[\dkK]", "cl.rut", "rut|run"),
    _id(r"\d{10}", "ec.ci", r"c[eé]dula(?: de identidad)?|ci"),
    _id(r"\d{3}-?\d{7}-?\d", "do.cedula", r"c[eé]dula(?: de identidad)?"),
    _id(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"),  # United Kingdom
    _id(r"\d{3}[ -]?\d{3}[ -]?\d{4}", "gb.nhs", r"nhs(?: number| no\.?)?"),
    _id(r"\d{7}[A-W][ABHTWX]?", "ie.pps", r"ppsn?|pps number|personal public service(?: number)?"),
    _id(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", "fr.nir"),
    _id(r"\d{8}[ -]?[A-Z]", "es.dni"),
    _id(r"[XYZ]-?\d{7}-?[A-Z]", "es.nie"),
    _id(
        r"\d{2} ?\d{3} ?\d{3} ?\d{3}",
        "de.idnr",
        r"steuer[- ]?id(?:ent\w*)?(?:[- ]?nr\.?|nummer)?|idnr\.?|tax id|tin|identifikationsnummer",
    ),
    _id(r"\d{2} ?\d{6} ?[A-Z] ?\d{3}", "", r"sozialversicherungsnummer|rentenversicherungsnummer|sv-?nummer|rvnr"),
    _id(r"\d{4} ?\d{6}", "at.vnr", r"sozialversicherungsnummer|versicherungsnummer|svnr|sv-?nummer"),
    _id(r"756\.\d{4}\.\d{4}\.\d{2}", "ch.ssn"),
    _id(r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]", "it.codicefiscale"),
    _id(r"\d{9}|\d{4}\.\d{2}\.\d{3}", "nl.bsn", r"bsn|burgerservicenummer|sofinummer"),
    _id(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", "be.nn"),
    _id(r"\d{3} ?\d{3} ?\d{3}", "pt.nif", r"nif|contribuinte"),
    _id(r"(?:19|20)?\d{6}[-+]\d{4}", "se.personnummer"),
    _id(r"\d{6}-\d{4}", "dk.cpr"),
    _id(r"\d{6}-\d{4}", "is_.kennitala"),
    _id(r"\d{6} ?\d{5}", "no.fodselsnummer"),
    _id(r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]", "fi.hetu"),
    _id(r"[1-8]\d{10}", "ee.ik", r"isikukood|ik|personal (?:id|identification) code"),
    _id(r"[1-8]\d{10}", "lt.asmens", r"asmens kodas|a\.? ?k\.?|personal code"),
    _id(r"\d{11}", "pl.pesel", "pesel"),
    _id(r"\d{6}/\d{3,4}", "cz.rc"),
    _id(r"\d{13}", "ro.cnp", "cnp|cod numeric personal"),
    _id(r"\d{10}", "bg.egn", "егн|egn"),
    _id(r"\d{11}", "gr.amka", "amka|αμκα"),
    _id(r"\d{11}", "hr.oib", "oib"),
    _id(r"\d{13}", "si.emso", "em[sš]o|jmbg"),
    _id(r"\d{10}", "ua.rntrc", "рнокпп|іпн|ипн|rntrc"),
    _id(r"\d{3}-\d{3}-\d{3}[ -]\d{2}"),  # Russia: SNILS
    _id(r"\d{12}", "ru.inn", "инн|inn"),
    _id(r"\d{11}", "tr.tckimlik", r"t\.?c\.?(?: kimlik)?(?: no| numarası)?|tckn|kimlik(?: no| numarası| numaram)?"),
    _id(r"\d{9}", "il.idnr", 'ת["״]?ז|תעודת זהות|teudat zehut|israeli id'),
    _id(r"\d{17}[\dXx]", "cn.ric"),
    _id(r"[A-Z][12]\d{8}", "", "身[分份]證(?:字號|號碼)?|national id|id card"),  # Taiwan
    _id(r"[A-Z]{1,2}\d{6}\([\dA]\)"),  # Hong Kong
    _id(r"\d{4}[ -]?\d{4}[ -]?\d{4}", "jp.in_", "マイナンバー|個人番号|my number"),
    _id(r"\d{6}-\d{7}", "kr.rrn"),
    _id(r"[2-9]\d{3}([ -])\d{4}\1\d{4}(?! ?\d)", "in_.aadhaar"),
    _id(r"\d{12}", "in_.aadhaar", "aadhaar|aadhar|आधार|uidai"),
    _id(r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", "in_.pan"),
    _id(r"\d{5}-\d{7}-\d", "pk.cnic"),
    _id(r"\d{16}", "", "nik|nomor induk kependudukan|ktp"),  # Indonesia
    _id(r"\d{6}-\d{2}-\d{4}", "my.nric"),
    _id(r"[STFGM]\d{7}[A-Z]", "", "nric|fin"),  # Singapore
    _id(r"\d-\d{4}-\d{5}-\d{2}-\d", "th.pin"),
    _id(r"\d{3} ?\d{3} ?\d{2,3}", "au.tfn", r"tfn|tax file(?: number)?"),
    _id(r"\d{2,3}[ -]?\d{3}[ -]?\d{3}", "nz.ird", r"ird(?: number)?"),
    _id(r"\d{13}", "za.idnr", r"(?:sa )?id(?:entity)?(?: number| no\.?)?"),
    _id(
        r"(?=(?:[A-Z]*\d){4})[A-Z0-9]{6,9}",
        "",
        r"passport(?: number| no\.?)?|passeport|reisepass(?:nummer)?|pasaporte|passaporto|paspoort|паспорт|护照|護照|パスポート",
    ),
)


def find(text: str) -> Iterator[Found]:
    for match in IBAN.finditer(text):
        if stdnum.iban.is_valid(match[0], check_country=False):  # its own length and checksum; banks come and go
            yield Found("iban", *match.span())
    for match in CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if ISSUERS.fullmatch(digits) and len(set(digits)) > 1 and _checks("luhn", digits):
            yield Found("card", *match.span())
    for kind in IDS:
        for match in kind.form.finditer(text):
            if (kind.cues is None or _named(text, match.start(), kind.cues)) and (
                not kind.check or _checks(kind.check, match[0])
            ):
                yield Found("national_id", *match.span())


def _named(text: str, start: int, cues: re.Pattern[str]) -> bool:
    return cued(text, start, cues, 40)


def _checks(module: str, number: str) -> bool:
    """Whether python-stdnum finds the number valid."""
    return bool(import_module(f"stdnum.{module}").is_valid(number))
