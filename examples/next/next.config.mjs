// oxlint-disable import/no-default-export -- where Next.js looks

/** @type {import('next').NextConfig} */
export default {
  // One copy for all bundles: one pool, one context, one class for each error.
  serverExternalPackages: ['genever'],
  // The shop of all examples lies beside this one.
  experimental: { externalDir: true },
  // The types are checked with those of all examples.
  typescript: { ignoreBuildErrors: true },
}
