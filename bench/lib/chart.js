/** Charts of a run's data, as SVG, for a light and for a dark page. */
const THEMES = {
  light: { text: "#1f2328", weak: "#59636e", line: "#d1d9e0", ours: "#0969da", peer: "#8c959f" },
  dark: { text: "#f0f6fc", weak: "#9198a1", line: "#3d444d", ours: "#4493f8", peer: "#656c76" },
};
const HUES = {
  light: ["#0969da", "#bc4c00", "#1a7f37", "#8250df", "#cf222e"],
  dark: ["#4493f8", "#f0883e", "#3fb950", "#ab7df8", "#ff7b72"],
};
const WIDTH = 760;

const escaped = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

const svg = (height, title, body) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(title)}" font-family="system-ui, sans-serif" font-size="13">\n${body.join("\n")}\n</svg>\n`;

const label = (x, y, fill, text, more = "") =>
  `<text x="${x}" y="${y}" fill="${fill}"${more}>${escaped(text)}</text>`;

const heading = (theme, title) =>
  label(0, 18, theme.text, title, ' font-size="15" font-weight="600"');

/** Bars: `rows` of `{ label, value, isOurs }`, the numbers as `format` writes them. */
const bars = ({ title, rows, format }, name) => {
  const theme = THEMES[name];
  const [left, right, step] = [290, 70, 24];
  const most = Math.max(...rows.map(({ value }) => value));
  const body = rows.flatMap((row, n) => {
    const y = 34 + n * step;
    const width = Math.max(1, (row.value / most) * (WIDTH - left - right));
    const fill = row.isOurs ? theme.ours : theme.peer;
    const weight = row.isOurs ? ' font-weight="600"' : "";
    return [
      label(left - 10, y + 13, theme.text, row.label, ` text-anchor="end"${weight}`),
      `<rect x="${left}" y="${y}" width="${width.toFixed(1)}" height="${step - 8}" rx="3" fill="${fill}"/>`,
      label((left + width + 8).toFixed(1), y + 13, theme.weak, format(row.value)),
    ];
  });
  return svg(42 + rows.length * step, title, [heading(theme, title), ...body]);
};

const compact = new Intl.NumberFormat("en", { notation: "compact" });

/** Lines over a logarithmic scale, both ways: `series` of `{ name, points: [[x, y], …] }`. */
const lines = ({ title, series, x, y }, name) => {
  const theme = THEMES[name];
  const [top, bottom, left, right] = [58, 300, 60, WIDTH - 170];
  const scale = (values, from, to) => {
    const [least, most] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
    const first = Math.floor(least);
    const last = Math.max(first + 1, Math.ceil(most));
    const at = (value) => from + ((Math.log10(value) - first) / (last - first)) * (to - from);
    return { at, ticks: Array.from({ length: last - first + 1 }, (_, n) => 10 ** (first + n)) };
  };
  const all = series.flatMap(({ points }) => points);
  const across = scale(
    all.map(([value]) => value),
    left,
    right,
  );
  const up = scale(
    all.map(([, value]) => value),
    bottom,
    top,
  );
  const grid = [
    ...up.ticks.flatMap((tick) => [
      `<path d="M${left} ${up.at(tick).toFixed(1)}H${right}" stroke="${theme.line}"/>`,
      label(left - 8, up.at(tick) + 4, theme.weak, compact.format(tick), ' text-anchor="end"'),
    ]),
    ...across.ticks.map((tick) =>
      label(
        across.at(tick).toFixed(1),
        bottom + 20,
        theme.weak,
        compact.format(tick),
        ' text-anchor="middle"',
      ),
    ),
    label(left, 42, theme.weak, y),
    label(right, bottom + 40, theme.weak, x, ' text-anchor="end"'),
  ];
  const drawn = series.flatMap(({ name: what, points }, n) => {
    const hue = HUES[name][n % HUES[name].length];
    const path = points.map(([px, py]) => `${across.at(px).toFixed(1)} ${up.at(py).toFixed(1)}`);
    return [
      `<path d="M${path.join("L")}" fill="none" stroke="${hue}" stroke-width="2"/>`,
      `<rect x="${right + 16}" y="${top + n * 22 - 5}" width="14" height="4" fill="${hue}"/>`,
      label(right + 36, top + n * 22 + 2, theme.text, what),
    ];
  });
  return svg(bottom + 50, title, [heading(theme, title), ...grid, ...drawn]);
};

const drawn = { bars, lines };

/** Draws a chart for both kinds of page: `{ kind: "bars" | "lines", title, … }`. */
export const draw = (chart) =>
  Object.fromEntries(Object.keys(THEMES).map((name) => [name, drawn[chart.kind](chart, name)]));
