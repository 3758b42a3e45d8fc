export const serviceToken = 'service-token-of-the-tests-0123456789'
