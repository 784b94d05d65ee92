"""A second reading: every printed cell of the toml files against the papers' own text."""

import re

import pytest

from harness.results.pages import load_page

NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w.])|N/A")
CLASSES = {
    "Ate": "Atelectasis",
    "Car": "Cardiomegaly",
    "Eff": "Effusion",
    "Inf": "Infiltration",
    "Mas": "Mass",
    "Nod": "Nodule",
    "Pn1": "Pneumonia",
    "Pne1": "Pneumonia",
    "Pn2": "Pneumothorax",
    "Pne2": "Pneumothorax",
    "Con": "Consolidation",
    "Ede": "Edema",
    "Emp": "Emphysema",
    "Fib": "Fibrosis",
    "PT": "Pleural_Thickening",
    "Her": "Hernia",
}


def text(papers, name):
    return re.sub(r"</?[a-z]+>", "", (papers / name).read_text())


def after(text, caption, end):
    """The lines between a table's caption and the first match of ``end``."""
    body = text[text.index(caption) :]
    return body[: re.search(end, body).start()].splitlines()


def rows(lines, numbers):
    """(label, numbers) of every line that ends in exactly so many numbers."""
    for line in lines:
        words = line.split()
        tail = []
        while words and NUMBER.fullmatch(words[-1]):
            tail.insert(0, words.pop())
        if len(tail) == numbers:
            yield " ".join(words), tail


def printed(page, section=""):
    """The same from a page, rows that the harness adds left out, a mean as the last number."""
    for row in page.rows:
        if row.chain != "added" and row.section.title == section:
            yield row.method, [cell or "N/A" for cell in row.cells.values()], row.mean


def full(head):
    """A class name from the abbreviation a paper prints."""
    head = head.strip(". ")
    return CLASSES.get(head) or CLASSES.get(head[:3]) or head


def test_anatomy_x_net_nih(papers, tables):
    page = load_page("anatomy-xnet-nih", tables)
    lines = after(text(papers, "anatomy_x_net.txt"), "TABLE II:", "TABLE III:")
    head = next(line for line in lines if line.startswith("Method"))
    assert tuple(map(full, head.split()[1:-1])) == page.columns
    read = list(rows(lines, 15))
    ours = list(printed(page))
    assert [(cells, mean) for _, cells, mean in ours] == [(r[:-1], r[-1]) for _, r in read]
    for (label, _), (method, _, _) in zip(read, ours, strict=True):
        assert method.split()[0].rstrip(",") in label


def test_anatomy_x_net_chexpert(papers, tables):
    page = load_page("anatomy-xnet-chexpert", tables)
    lines = after(text(papers, "anatomy_x_net.txt"), "TABLE III:", r"lungs\. To utilize")
    head = next(line for line in lines if line.startswith("Method"))
    assert head == "Method " + " ".join(page.columns) + " Average"
    read = [(numbers[:-1], numbers[-1]) for _, numbers in rows(lines, 6)]
    assert [(cells, mean) for _, cells, mean in printed(page)] == read


@pytest.mark.parametrize(
    ("name", "caption", "end"),
    [
        ("anatomy-xnet-levels", "TABLE IV:", r"Fig\. 5"),
        ("anatomy-xnet-pooling", "TABLE V:", r"F\. Effect"),
    ],
)
def test_anatomy_x_net_means(papers, tables, name, caption, end):
    lines = after(text(papers, "anatomy_x_net.txt"), caption, end)
    read = list(rows(lines, 1))
    ours = list(printed(load_page(name, tables)))
    assert [mean for _, _, mean in ours] == [numbers[0] for _, numbers in read]
    for (label, _), (method, _, _) in zip(read, ours, strict=True):
        assert label.startswith(method)


def test_anatomy_x_net_mask_size(papers, tables):
    lines = after(text(papers, "anatomy_x_net.txt"), "TABLE VI:", r"VI\. CONCLUSION")
    sizes = next(line for line in lines if line.startswith("Mask Dimension")).split()[2:]
    values = next(line for line in lines if line.startswith("AUC")).split()[1:]
    page = load_page("anatomy-xnet-mask-size", tables)
    assert [(m, mean) for m, _, mean in printed(page)] == list(zip(sizes, values, strict=True))


def test_anaxnet_auc(papers, tables):
    page = load_page("anaxnet-auc", tables)
    lines = after(text(papers, "anaxnet.txt"), "Table 3: Comparison", "boxes for 1000")
    read = [(label.removesuffix(" (ours)"), r[:-1], r[-1]) for label, r in rows(lines, 10)]
    assert list(printed(page)) == read
    assert f"Method {' '.join(page.heads)} AVG" in lines


def test_anaxnet_dataset(papers, tables):
    lines = after(text(papers, "anaxnet.txt"), "Table 1: Dataset", "To capture both")
    labels = [(label.split(" ", 1)[1].lower(), r) for label, r in rows(lines, 2)]
    totals = next(line for line in lines if line.startswith("All 9 labels")).split()[-2:]
    images, boxes = (pair.split("/") for pair in totals)
    labels += [("any of the nine", [images[0], boxes[0]]), ("total", [images[1], boxes[1]])]
    page = load_page("anaxnet-dataset", tables)
    assert [(method, cells) for method, cells, _ in printed(page)] == labels


def test_anaxnet_regions(papers, tables):
    page = load_page("anaxnet-regions", tables)
    lines = after(text(papers, "anaxnet.txt"), "Table 2: Intersection", "bounding boxes for a")
    heads = [line.split()[2:] for line in lines if line.startswith("Bbox abbreviation")]
    assert heads[0] + heads[1] == list(page.heads)
    halves = list(rows(lines, 9))
    joined = [(a, x + y) for (a, x), (_, y) in zip(halves[:3], halves[3:], strict=True)]
    assert [(method, cells) for method, cells, _ in printed(page)] == joined


def localization(lines):
    """{section: [(cells, mean)]} of a table whose first column is a threshold or empty."""
    found, section = {}, ""
    for line in lines:
        fields = line.split("\t")
        if len(fields) == 11 and fields[0] != "T(IoU)":
            section = f"IoU > {fields[0]}" if fields[0] else section
            found.setdefault(section, []).append((fields[2:10], fields[10]))
    return found


@pytest.mark.parametrize(
    ("name", "caption", "end"),
    [
        ("dm-localization", "Table 1: Comparison", "model, which implements"),
        ("dm-masks", "Table 2: Localization", "Figure 8:"),
    ],
)
def test_dm_localization(papers, tables, name, caption, end):
    lines = after(text(papers, "dm_attention.txt"), caption, end)
    page = load_page(name, tables)
    head = next(line for line in lines if line.startswith("T(IoU)")).split("\t")
    assert tuple(map(full, head[2:10])) == page.columns
    read = localization(lines)
    assert set(read) == {section.title for section in page.sections}
    for section, values in read.items():
        assert [(cells, mean) for _, cells, mean in printed(page, section)] == values


def transposed(lines, head):
    """{class: numbers} of a tab-separated table whose rows are classes."""
    start = next(i for i, line in enumerate(lines) if line.startswith(head))
    found = {}
    for line in lines[start + 1 :]:
        fields = line.split("\t")
        if len(fields) < 2 or fields[0] == "Diseases":
            break
        found[fields[0].replace(" ", "_")] = fields[1:]
    return found


def by_class(page, section=""):
    """{class: cells of all rows} of a page."""
    ours = [dict(zip(page.columns, cells, strict=True)) for _, cells, _ in printed(page, section)]
    return {column: [row[column] for row in ours] for column in page.columns}


def test_dm_auc(papers, tables):
    read = transposed(text(papers, "dm_attention.txt").splitlines(), "Pathology")
    page = load_page("dm-auc", tables)
    assert read.pop("Mean") == [mean for _, _, mean in printed(page)]
    assert read == by_class(page)


def test_dm_ablation(papers, tables):
    lines = after(text(papers, "dm_attention.txt"), "Table 4: The results", "In Table 4, we")
    read = [(label, r[:-1], r[-1]) for label, r in rows(lines, 9)]
    assert list(printed(load_page("dm-ablation", tables))) == read


def test_attention_auc(papers, tables):
    lines = after(text(papers, "space_and_gated_attention.txt"), "Table 1:", "5.2 Disease")
    assert transposed(lines, "Disease class") == by_class(load_page("attention-auc", tables))


@pytest.mark.parametrize("number", range(2, 8))
def test_attention_localization(papers, tables, number):
    whole = text(papers, "space_and_gated_attention.txt")
    lines = after(whole, f"Table {number}: Localization", rf"Table {number + 1}:|\Z")
    measure, threshold = re.search(r"T\((\w+)\) = ([\d.]+)\.", lines[0]).groups()
    page = load_page("attention-localization", tables)
    section = next(s for s in page.sections if s.citation == f"Table {number}")
    assert section.title == f"{measure} > {threshold}"
    assert section.measure == f"{measure.lower()}>{threshold}"
    assert transposed(lines, "Disease class") == by_class(page, section.title)


def lower_half(whole):
    """The lower half of CXR-IRNet's Table 2: its last line repeats all lines before it."""
    lines = after(whole, "AGCNN [ 16 ]", "Table 2 Comparison")
    first = lines[1].split("\t")[1:]
    rest = [column.split() for column in lines[-2].split("\t")[1:]]
    return [[a, *column] for a, column in zip(first, rest, strict=True)]


def test_cxr_irnet_auc(papers, tables):
    whole = text(papers, "cxr_irnet.txt")
    upper = transposed(whole.splitlines(), "Diseases\tDCNN")
    page = load_page("cxr-irnet-auc", tables)
    ours = {method: (cells, mean) for method, cells, mean in printed(page)}
    order = ("DCNN (re-run)", "CheXNet (re-run)", "SENet (re-run)", "SDFN")
    averages = upper.pop("Average")
    assert tuple(upper) == page.columns
    for i, method in enumerate(order):
        assert ours[method] == ([values[i] for values in upper.values()], averages[i])
    order = ("AGCNN (re-run)", "SalNet", "CXR-IRNet w/o F_l", "CXR-IRNet")
    for method, column in zip(order, lower_half(whole), strict=True):
        assert ours[method] == (column, None)


def test_cxr_irnet_iou(papers, tables):
    whole = text(papers, "cxr_irnet.txt")
    read = [numbers for _, numbers in rows(whole.splitlines(), 4) if float(numbers[0]) < 1]
    fe, without, second = read[-3:]
    page = load_page("cxr-irnet-iou", tables)
    ours = {method: (cells, mean) for method, cells, mean in printed(page, "mean IoU")}
    means = re.search(r"by 23\.67% from (0\.\d+) to (0\.\d+)", whole).groups()
    assert ours["FE"] == (fe + second, means[1])
    assert ours["FE w/o MA"] == (without + ["N/A"] * 4, means[0])
    assert ours["SalNet"][1] == re.search(r"average of IoU of (0\.\d+)\.", whole).group(1)


def test_cxr_irnet_split(papers, tables):
    lines = text(papers, "cxr_irnet.txt").splitlines()
    read = transposed(lines, "Diseases\tTrain")
    page = load_page("cxr-irnet-split", tables)
    ours = {method.replace(" ", "_"): cells for method, cells, _ in printed(page)}
    assert ours == read
