package injection

import "crypto/sha256"

// maxExcerpt bounds what is shown of one place, in bytes.
const maxExcerpt = 4 << 10

// Excerpts finds the texts of places of a message by their digests, for a person who
// may see them. A place that is not found any more, because the texts of a message
// are cut in another way since, is left out.
func Excerpts(in Input, places [][32]byte) map[[32]byte]string {
	wanted, found := map[[32]byte]bool{}, map[[32]byte]string{}
	for _, p := range places {
		wanted[p] = true
	}
	Passages(in, func(p *Passage) {
		for at := range p.Windows() {
			text := p.segment.text[p.places[at].start:p.places[min(at+WindowBlocks, len(p.Blocks))-1].end]
			if sum := sha256.Sum256(text); wanted[sum] && found[sum] == "" {
				found[sum] = string(text[:min(len(text), maxExcerpt)])
			}
		}
	})
	return found
}
