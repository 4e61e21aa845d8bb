/** Colours and fonts of the drawings, for a picture that stands alone; the page has the same in its own style sheet. */
export const PICTURE_STYLE = `
svg{background:#fff;color:#1b1f24}
@media (prefers-color-scheme:dark){svg{background:#14171b;color:#e8eaed}}
text{font:12px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:currentColor}
text.title{font-weight:600;font-size:13px}
text.hook{font-weight:600;fill:#0550ae}
text.place,text.note{fill:#57606a}
text.change{fill:#8250df}
text.bad{fill:#b42318;font-weight:600}
text.share{font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:4px}
rect{fill:#f6f8fa;stroke:#8c959f}
.divide{stroke:#8c959f;stroke-opacity:.4}
.line path{fill:none;stroke:#8c959f;stroke-width:1.5}
.end.accepted rect,.end.untouched rect{fill:#e6f4ea;stroke:#1a7f37}
.end.dropped rect,.end.refused rect,.end.lost rect{fill:#fdecea;stroke:#b42318;stroke-width:3}
.end.undecided rect{fill:#fff4d6;stroke:#9a6700;stroke-width:2}
.packet rect{fill:#e7f0fb;stroke:#0550ae}
@media (prefers-color-scheme:dark){
text.share{stroke:#14171b}
text.hook{fill:#79b8ff}
text.place,text.note{fill:#a3acb6}
text.change{fill:#c9a6ff}
text.bad{fill:#ff9d92}
rect{fill:#1d2127;stroke:#5d6670}
.end.accepted rect,.end.untouched rect{fill:#12291a;stroke:#3fb950}
.end.dropped rect,.end.refused rect,.end.lost rect{fill:#33120f;stroke:#ff7b72}
.end.undecided rect{fill:#2e2405;stroke:#d29922}
.packet rect{fill:#10233b;stroke:#79b8ff}
}`;
