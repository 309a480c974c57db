//go:build !ablation

package injection

// without is what is left out to see what it is worth, which only the trainer's
// ablation does: see without_ablation.go. Here it is nothing, and costs nothing.
const without aspect = 0
