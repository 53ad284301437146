// The base URL is a part of the generated code: the service runs before.
export default {
  site: {
    input: process.env.DOCUMENT,
    output: { target: process.env.TARGET, client: "fetch", baseUrl: process.env.SERVICE },
  },
}
