package injection

import "bytes"

// isPDF reports whether bytes are a PDF document; some bytes may stand in front (ISO
// 32000, annex H).
func isPDF(b []byte) bool { return bytes.Contains(b[:min(len(b), 1024)], []byte("%PDF-")) }

// pdf notes a PDF document.
func (w *walk) pdf(f *file, at string) { w.skip(at, "type") }
