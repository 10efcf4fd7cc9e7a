// Finds a number for which sha256("<token>:<number>") begins with so many zero bits. SHA-256 as in FIPS 180-4; crypto.subtle
// would need a promise for each of a hundred thousand tries, and is missing on plain http.
const K = new Int32Array(64);
const START = new Int32Array(8);
const W = new Int32Array(64);

// The first 32 bits of the fractional parts of the roots of primes, instead of 72 constants.
(() => {
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  primes.forEach((prime, i) => (K[i] = (Math.cbrt(prime) % 1) * 2 ** 32));
  primes.slice(0, 8).forEach((prime, i) => (START[i] = (Math.sqrt(prime) % 1) * 2 ** 32));
})();

const turn = (x, n) => (x >>> n) | (x << (32 - n));

function block(state, bytes, at) {
  for (let i = 0; i < 16; i++, at += 4) {
    W[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15];
    const y = W[i - 2];
    W[i] = W[i - 16] + W[i - 7] + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const s = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const t = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + s) | 0, c, b, a, (s + t) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] += word));
}

function hash(text) {
  const length = text.length; // ASCII
  const bytes = new Uint8Array((length + 72) & ~63);
  for (let i = 0; i < length; i++) bytes[i] = text.charCodeAt(i);
  bytes[length] = 128;
  new DataView(bytes.buffer).setUint32(bytes.length - 4, length * 8);
  const state = Int32Array.from(START);
  for (let at = 0; at < bytes.length; at += 64) block(state, bytes, at);
  return state;
}

function zeros(state) {
  const first = Math.clz32(state[0]);
  return first < 32 ? first : 32 + Math.clz32(state[1]);
}

self.onmessage = ({ data: { token, bits } }) => {
  let number = 0;
  while (zeros(hash(`${token}:${number}`)) < bits) number++;
  self.postMessage(String(number));
};
