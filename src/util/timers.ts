// What Node's timers can count.

/** They hold 31 bits of milliseconds: a longer delay would be over at once. */
export const longestTimerMs = 2_147_483_647
