//go:build ablation

package injection

import (
	"os"
	"slices"
)

// without is named by an environment variable, one of [aspects].
var without = func() aspect {
	name := os.Getenv("INJECTION_WITHOUT")
	if i := slices.Index(aspects[:], name); i >= 0 {
		return 1 << i
	}
	if name != "" {
		panic("injection: there is no aspect " + name)
	}
	return 0
}()

// aspects are their names.
var aspects = [...]string{"no_glyph", "lookalike", "digits", "apart", "styles", "encodings", "unseen", "turns", "sequences", "parts", "concept_pairs", "classes", "slots", "sentences", "repeats"}
