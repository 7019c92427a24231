"""Which reports are taken for other languages than English; the sentences were written for it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError
from radflow.reports.language import OTHER, LanguageCount, foreign_language
from radflow.studies.phantoms.carotid import draw_carotid_text
from radflow.studies.sources.openi import open_i_reports

# The word lists were made beside these.
SENTENCES = {
    "German": (
        "Kein Pneumothorax.",
        "Kein Pleuraerguss beidseits.",
        "Herzgröße im Normbereich.",
        "Unauffälliger Befund.",
        "Lungen frei belüftet.",
        "Zeichen einer pulmonalvenösen Stauung.",
        "Keine Infiltrate nachweisbar.",
        "Linksbetont vergrößertes Herz.",
        "ZVK rechts jugulär mit Spitze in der Vena cava superior.",
        "Verdacht auf Pneumonie im rechten Unterlappen.",
        "Kein Nachweis eines Pneumothorax. Herz nicht vergrößert.",
        "Pleuraergüsse beidseits, rechts mehr als links.",
        "Zustand nach Sternotomie.",
        "Die Lunge ist regelrecht entfaltet.",
        "Altersentsprechender Thoraxbefund.",
        "Kein Erguss, keine Stauung.",
        "Mediastinum mittelständig und schlank.",
        "Fleckige Verschattung im linken Oberfeld.",
        "Röntgen-Thorax in zwei Ebenen: kein Infiltrat.",
        "Degenerative Veränderungen der Wirbelsäule.",
        "Beurteilung: Kardiomegalie ohne Dekompensation.",
        "A. carotis interna rechts ohne Stenose.",
    ),
    "French": (
        "Pas de pneumothorax.",
        "Absence d'épanchement pleural.",
        "Silhouette cardiaque de taille normale.",
        "Poumons clairs.",
        "Examen normal.",
        "Opacité du lobe inférieur droit.",
        "Pas d'anomalie osseuse visible.",
        "Cardiomégalie modérée.",
        "Sonde d'intubation en place.",
        "Syndrome interstitiel bilatéral.",
        "Pas d'épanchement pleural ni de pneumothorax.",
        "La silhouette cardio-médiastinale est normale.",
        "Foyer de condensation basal droit.",
        "Les coupoles diaphragmatiques sont bien limitées.",
        "Pas de lésion parenchymateuse évolutive.",
        "Radiographie du thorax sans anomalie.",
        "Surcharge vasculaire pulmonaire.",
        "Emphysème des sommets.",
        "Comblement du cul-de-sac costo-diaphragmatique gauche.",
        "Conclusion : pneumopathie du lobe moyen.",
        "Pacemaker en place.",
        "Fracture de côte ancienne.",
    ),
    "Spanish": (
        "Sin neumotórax.",
        "No se observa derrame pleural.",
        "Silueta cardíaca normal.",
        "Pulmones bien expandidos.",
        "Cardiomegalia.",
        "Sin cambios con respecto al estudio previo.",
        "Opacidad en el lóbulo inferior derecho.",
        "Hilios normales.",
        "Catéter venoso central en vena cava superior.",
        "No hay fracturas.",
        "No se aprecia neumotórax ni derrame.",
        "Índice cardiotorácico dentro de la normalidad.",
        "Infiltrado en base pulmonar izquierda.",
        "Signos de insuficiencia cardiaca.",
        "Campos pulmonares libres.",
        "Estructuras óseas sin alteraciones.",
        "Atelectasia laminar basal derecha.",
        "Aorta elongada y ateromatosa.",
        "Conclusión: estudio sin hallazgos patológicos.",
        "Derrame pleural bilateral pequeño.",
        "Fractura de arcos costales izquierdos.",
        "Tubo endotraqueal bien posicionado.",
    ),
    "Italian": (
        "Non pneumotorace.",
        "Assenza di versamento pleurico.",
        "Cuore nei limiti.",
        "Polmoni normoespansi.",
        "Cardiomegalia.",
        "Non lesioni pleuroparenchimali in atto.",
        "Opacità al lobo inferiore destro.",
        "Ili nella norma.",
        "CVC in sede.",
        "Esame nei limiti di norma.",
        "Non si osservano focolai parenchimali.",
        "Ombra cardiaca ingrandita.",
        "Versamento pleurico a destra.",
        "Seni costofrenici liberi.",
        "Aorta sclerotica.",
        "Accentuazione della trama interstiziale.",
        "Non evidenti fratture costali.",
        "Lieve congestione del piccolo circolo.",
        "Conclusioni: quadro di scompenso.",
        "Mediastino in asse.",
        "Polmonite del lobo medio.",
        "Esiti di sternotomia.",
    ),
    "Portuguese": (
        "Sem pneumotórax.",
        "Não há derrame pleural.",
        "Área cardíaca normal.",
        "Pulmões expandidos.",
        "Cardiomegalia.",
        "Sem alterações em relação ao exame anterior.",
        "Opacidade no lobo inferior direito.",
        "Hilos de aspecto normal.",
        "Cateter venoso central em veia cava superior.",
        "Seios costofrênicos livres.",
        "Não se observam consolidações.",
        "Índice cardiotorácico aumentado.",
        "Derrame pleural à esquerda.",
        "Arcabouço ósseo sem alterações.",
        "Aorta alongada e ateromatosa.",
        "Opacidades reticulares bilaterais.",
        "Conclusão: exame normal.",
        "Pequena atelectasia na base direita.",
        "Transparência pulmonar preservada.",
        "Fratura de costela à direita.",
        "Tubo orotraqueal bem posicionado.",
        "Sinais de congestão pulmonar.",
    ),
    "Dutch": (
        "Geen pneumothorax.",
        "Geen pleuravocht.",
        "Normale hartgrootte.",
        "Heldere longvelden.",
        "Cardiomegalie.",
        "Geen afwijkingen.",
        "Consolidatie in de rechter onderkwab.",
        "Vergroot hart met stuwing.",
        "Centraal veneuze lijn in situ.",
        "Verdenking op pneumonie.",
        "Geen aanwijzingen voor een pneumothorax of pleuravocht.",
        "Het hart is niet vergroot.",
        "Slanke hili en mediastinum.",
        "Infiltraat in de linker bovenkwab.",
        "Bekende status na sternotomie.",
        "Gering pleuravocht rechts.",
        "Conclusie: geen longontsteking.",
        "Atelectase links basaal.",
        "Toegenomen vaattekening passend bij overvulling.",
        "Ribfractuur links lateraal.",
        "Pacemaker met leads in goede positie.",
        "De longen zijn helder.",
    ),
    "Chinese": (
        "未见气胸。",
        "双肺清晰。",
        "心影增大。",
        "右侧胸腔积液。",
        "两肺纹理增多。",
        "双侧胸腔未见积液，心影大小正常。",
        "左下肺斑片影，考虑炎症。",
        "主动脉迂曲钙化。",
        "气管居中。",
    ),
}
# These were written when the lists were there; only "de", "der" and "van" were added afterwards.
FRESH = {
    "German": (
        "Kein Hinweis auf Pneumothorax.",
        "Basale Belüftungsstörung links.",
        "Herzschrittmacher in loco typico.",
        "Keine frische Fraktur.",
        "Minderbelüftung der Unterlappen.",
        "Interstitielle Zeichnungsvermehrung.",
        "Trachea mittelständig.",
        "Aortensklerose.",
        "Beide Zwerchfelle glatt begrenzt.",
        "Im Vergleich zur Voraufnahme unverändert.",
        "Hochgradige Stenose der A. carotis interna links.",
        "Die Hili sind nicht verbreitert.",
    ),
    "French": (
        "Aucun épanchement.",
        "Trachée médiane.",
        "Index cardiothoracique augmenté.",
        "Hile pulmonaire élargi.",
        "Pneumothorax apical gauche.",
        "Aorte déroulée.",
        "Atélectasie en bande.",
        "Coeur de volume normal.",
        "Pas de foyer.",
        "Sténose serrée de la carotide interne.",
        "Comparé au cliché précédent, stabilité.",
        "Absence de fracture.",
    ),
    "Spanish": (
        "Corazón aumentado de tamaño.",
        "Neumonía lobar derecha.",
        "Aumento de la trama broncovascular.",
        "Tráquea central.",
        "Escoliosis dorsal.",
        "Mediastino sin ensanchamiento.",
        "No hay evidencia de neumonía.",
        "Senos costofrénicos libres.",
        "Elevación del hemidiafragma derecho.",
        "Comparado con el previo, estable.",
        "Placa calcificada en la carótida interna.",
        "Nódulo pulmonar izquierdo.",
    ),
    "Italian": (
        "Trachea in asse.",
        "Ingrandimento dell'immagine cardiaca.",
        "Non alterazioni ossee.",
        "Strie disventilative basali.",
        "Pneumotorace apicale sinistro.",
        "Diaframma regolare.",
        "Ispessimento pleurico.",
        "Rispetto al precedente, invariato.",
        "Sondino nasogastrico in sede gastrica.",
        "Ateromasia calcifica.",
        "Stenosi serrata della carotide interna.",
        "Assenza di addensamenti.",
    ),
    "Portuguese": (
        "Coração aumentado.",
        "Traqueia centrada.",
        "Consolidação no lobo médio.",
        "Ausência de derrame.",
        "Nódulo pulmonar à direita.",
        "Escoliose dorsal.",
        "Em comparação ao anterior, estável.",
        "Placa calcificada na carótida interna.",
        "Aumento da trama vascular.",
        "Pneumonia à esquerda.",
        "Cúpulas diafragmáticas normais.",
        "Mediastino sem alargamento.",
    ),
    "Dutch": (
        "Geen vocht.",
        "Trachea in de middenlijn.",
        "Status na CABG.",
        "Toename van de consolidatie.",
        "Hart en mediastinum normaal.",
        "Geen fracturen.",
        "Stenose van de arteria carotis interna.",
        "Hilusvergroting beiderzijds.",
        "Longemfyseem.",
        "Vergeleken met het vorige onderzoek onveranderd.",
        "Maagsonde in goede positie.",
        "Interstitiële afwijkingen.",
    ),
    "Chinese": (
        "心影大小正常。",
        "肋骨未见骨折。",
        "左侧少量胸腔积液。",
        "颈动脉斑块形成。",
    ),
}
ENGLISH = (
    "", "Normal.", "No acute disease.", "Lungs clear.", "PA and lateral.", "Cardiomegaly.", "XXXX.",
    "COPD", "5 μm.", "1. 2. 3.", "Swan-Ganz in situ.", "De novo lesion.", "naïve T cells",
    "α-fetoprotein", "Sjögren syndrome.", "Ménière disease", "Röntgen film",
    "Dr. de la Cruz was notified.", "Discussed with Dr. van der Berg.",
    "Findings: None Impression: None", "Right ICA stenosis 50-69 %.",
    "Keine Veränderung. No change. The lungs are clear and the heart is normal.",
)  # fmt: skip


@pytest.mark.parametrize("language", SENTENCES)
def test_nearly_every_sentence_of_three_words_is_known(language: str) -> None:
    found = [foreign_language(sentence) for sentence in SENTENCES[language]]
    assert sum(one is not None for one in found) >= 0.9 * len(found)
    assert found.count(language) >= 0.75 * len(found)


def test_three_of_four_fresh_sentences_are_known_and_every_report() -> None:
    found = [foreign_language(sentence) is not None for own in FRESH.values() for sentence in own]
    assert len(found) == 76
    assert sum(found) >= 57
    for language, sentences in FRESH.items():
        assert foreign_language(" ".join(sentences)) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Лёгкие без очаговых изменений.", "Russian"),
        ("胸部X線写真に異常を認めません。", "Japanese"),
        ("CT: 右上叶结节, follow up.", "Chinese"),
        ("폐에 이상 소견 없음.", "Korean"),
        ("Akciğer alanları doğal.", OTHER),
    ],
)
def test_other_scripts_and_languages(text: str, language: str) -> None:
    assert foreign_language(text) == language


@pytest.mark.parametrize("text", ENGLISH)
def test_short_english_is_english(text: str) -> None:
    assert foreign_language(text) is None


def test_no_real_english_report_is_called_foreign() -> None:
    reports = [" ".join(filter(None, (report.findings, report.impression))) for report in open_i_reports()]
    assert [text for text in reports if foreign_language(text)] == []
    sentences = [s for text in reports for s in re.split(r"(?<=[.?!])\s+", text) if s]
    assert len(sentences) == 24_398
    assert sum(foreign_language(sentence) is not None for sentence in sentences) <= 3


def test_no_drawn_english_report_is_called_foreign() -> None:
    texts = [draw_carotid_text(number, seed=3) for number in range(300)]
    sentences = [s for text in texts for s in re.split(r"(?<=[.])\s+", f"{text.findings} {text.impression}")]
    assert [s for s in sentences if foreign_language(s)] == []


@given(st.text())
def test_never_raises(text: str) -> None:
    foreign_language(text)


def test_a_file_is_counted() -> None:
    count = LanguageCount().add_all((f"s{n}", "No pneumothorax.") for n in range(6))
    assert count.said == ""
    count.add_all((f"g{n}", "Kein Pneumothorax.") for n in range(4))
    count.expect_english("r.csv", remedy="")
    assert count.said == "4 of 10 reports (40.0%) look like German: g0, g1, g2, ..."
    count.add_all((f"f{n}", "Pas de pneumothorax.") for n in range(4))
    with pytest.raises(
        DataError, match=r"r.csv: expected reports in English.* 8 of 14 reports .*German or French: g0"
    ):
        count.expect_english("r.csv", remedy="Say so.")
