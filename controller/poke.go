package controller

// poke wakes a loop that has nothing else to do.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
